"""Whether a total charge and a number of unpaired electrons fit the atoms."""

from __future__ import annotations

import math

import numpy as np


def check_electrons(atomic_numbers, charge: float, spin: float) -> None:
    """Raises `ValueError` if atoms with total `charge` (e) cannot have `spin` unpaired electrons.

    The message ends without a mend, which depends on how the two were given. Whether the electrons pair up is asked of
    whole numbers only.
    """
    if not math.isfinite(charge):
        raise ValueError(f"the charge must be a finite number of elementary charges, not {charge:g}")
    if not (math.isfinite(spin) and spin >= 0):
        raise ValueError(f"there cannot be {spin:g} unpaired electrons, only a finite number of them, 0 or more")
    electrons = float(np.sum(atomic_numbers)) - charge
    if electrons < 0 or spin > electrons:
        raise ValueError(
            f"with charge {charge:g} there are {electrons:g} electrons, too few for {spin:g} unpaired ones"
        )
    if electrons.is_integer() and float(spin).is_integer() and (electrons - spin) % 2:
        raise ValueError(
            f"with charge {charge:g} there are {electrons:g} electrons, of which not just {spin:g} can be unpaired"
        )
