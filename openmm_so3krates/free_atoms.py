"""Reference values of free atoms for the dispersion energy (Tkatchenko-Scheffler scaling).

The numbers and their literature are in `data/free_atoms.csv`.
"""

from __future__ import annotations

import csv
import functools
from importlib import resources

import numpy as np


@functools.cache
def _table() -> np.ndarray:
    text = resources.files("openmm_so3krates").joinpath("data/free_atoms.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    table = np.zeros((len(rows) + 1, 2))
    for row in rows:
        table[int(row["atomic_number"])] = float(row["polarizability"]), float(row["c6"])
    return table


def polarizabilities() -> np.ndarray:
    """Isotropic dipole polarizabilities in a₀³, float64, shape (103,): index = atomic number, row 0 is zero.

    Source: A. Tkatchenko, M. Scheffler, Phys. Rev. Lett. 102, 073005 (2009) and references in the data file.
    """
    return _table()[:, 0].copy()


def c6_coefficients() -> np.ndarray:
    """C6 coefficients of equal pairs in Hartree a₀⁶, float64, shape (103,): index = atomic number, row 0 is zero.

    Source: as for `polarizabilities`.
    """
    return _table()[:, 1].copy()
