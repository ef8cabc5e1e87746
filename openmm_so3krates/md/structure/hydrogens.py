"""Refusing structures without (all of) their hydrogens: a model would compute them as the radicals they are."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from openmm import app

from openmm_so3krates.md.errors import StructureError

# Fewest hydrogens a residue can have: those on carbon, whatever the protonation (water: both).
_FEWEST_HYDROGENS = {
    "GLY": 2, "ALA": 4, "VAL": 8, "LEU": 10, "ILE": 10, "PRO": 7, "SER": 3, "THR": 5, "CYS": 3, "CYX": 3, "CYM": 3,
    "MET": 8, "ASP": 3, "ASH": 3, "ASN": 3, "GLU": 5, "GLH": 5, "GLN": 5, "HIS": 5, "HID": 5, "HIE": 5, "HIP": 5,
    "LYS": 9, "LYN": 9, "ARG": 7, "PHE": 8, "TYR": 7, "TRP": 8, "ACE": 3, "NME": 3, "HOH": 2, "WAT": 2,
    "A": 8, "C": 8, "G": 7, "U": 8, "DA": 9, "DC": 9, "DG": 8, "DT": 11,
}  # fmt: skip
_MEND = "add them, for example with PDBFixer or openmm.app.Modeller.addHydrogens"
# nm; shorter bonds of carbon to these elements are not single bonds.
_SINGLE_BOND = {6: 0.145, 7: 0.142, 8: 0.138}


def refuse_missing_hydrogens(topology: app.Topology, positions: np.ndarray) -> None:
    """Raises `StructureError` if standard residues lack hydrogens, or if there are none at all where carbon needs some.

    `positions` (N, 3) nm.
    """
    lacking = []
    any_hydrogen = False
    for residue in topology.residues():
        count = sum(atom.element.atomic_number == 1 for atom in residue.atoms())
        any_hydrogen |= count > 0
        if count < _FEWEST_HYDROGENS.get(residue.name, 0):
            lacking.append(f"{residue.name} {residue.id}")
    if lacking:
        some = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        raise StructureError(f"hydrogens are missing (in {some}); {_MEND}")
    if not any_hydrogen and (carbon := _open_carbon(topology, positions)) is not None:
        raise StructureError(f"there are no hydrogens, but carbon atom {carbon + 1} has single bonds only; {_MEND}")


def _open_carbon(topology: app.Topology, positions: np.ndarray) -> int | None:
    """A carbon with fewer than four neighbors, all of them C, N or O at single-bond distance."""
    neighbors = defaultdict(list)
    for bond in topology.bonds():
        for atom, other in ((bond[0], bond[1]), (bond[1], bond[0])):
            if atom.element.atomic_number == 6:
                neighbors[atom.index].append(other)
    for atom, others in neighbors.items():
        lengths = [np.linalg.norm(positions[atom] - positions[other.index]) for other in others]
        if len(others) < 4 and all(
            length > _SINGLE_BOND.get(other.element.atomic_number, np.inf)
            for other, length in zip(others, lengths, strict=True)
        ):
            return atom
    return None
