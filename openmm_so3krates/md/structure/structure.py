"""From a structure file of any known format to a checked topology with positions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from openmm import app, unit

from openmm_so3krates.md.errors import StructureError
from openmm_so3krates.md.structure.bonds import add_missing_bonds, make_molecules_whole
from openmm_so3krates.md.structure.hydrogens import refuse_missing_hydrogens
from openmm_so3krates.md.structure.mmcif import read_mmcif
from openmm_so3krates.md.structure.pdb import read_pdb
from openmm_so3krates.md.structure.xyz import read_xyz

_READERS = {
    ".pdb": read_pdb,
    ".ent": read_pdb,
    ".cif": read_mmcif,
    ".mmcif": read_mmcif,
    ".pdbx": read_mmcif,
    ".xyz": read_xyz,
    ".extxyz": read_xyz,
}


@dataclass
class Structure:
    """Atoms to simulate.

    `topology`: elements, residues, bonds and, where the system is periodic, the box in OpenMM's reduced form.
    `positions`: (N, 3) float64, nm; molecules are whole.
    `charge`, `spin`: total charge (e) and number of unpaired electrons if the file names them, else None.
    `bonds_span_box`: whether bonded atoms form a network through the periodic boundary (a covalent crystal).
    """

    topology: app.Topology
    positions: np.ndarray
    charge: float | None = None
    spin: float | None = None
    bonds_span_box: bool = False

    @property
    def num_atoms(self) -> int:
        return self.topology.getNumAtoms()

    @property
    def is_periodic(self) -> bool:
        return self.topology.getPeriodicBoxVectors() is not None

    @property
    def box(self) -> np.ndarray | None:
        """(3, 3) nm, rows are box vectors; None without a box."""
        vectors = self.topology.getPeriodicBoxVectors()
        return None if vectors is None else np.array(vectors.value_in_unit(unit.nanometer))

    @property
    def atomic_numbers(self) -> np.ndarray:
        return np.array([atom.element.atomic_number for atom in self.topology.atoms()])

    @property
    def formula(self) -> str:
        """Sum formula, C and H first, the others in alphabetical order."""
        counts = Counter(atom.element.symbol for atom in self.topology.atoms())
        symbols = sorted(counts, key=lambda symbol: ({"C": 0, "H": 1}.get(symbol, 2), symbol))
        return "".join(symbol + (str(counts[symbol]) if counts[symbol] > 1 else "") for symbol in symbols)


def read_structure(path: Path) -> Structure:
    """Reads and checks a PDB, mmCIF or (extended) XYZ file.

    Raises `StructureError` naming the file, what is wrong with it and what to do: unreadable file, no atoms, unknown
    or missing elements, alternate locations, several models, missing hydrogens, positions that are not finite.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise StructureError(
            f"{path}: the file name does not end in a known format; use one of {', '.join(sorted(_READERS))}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise StructureError(f"{path} is not a text file") from None
    except OSError as error:
        raise StructureError(f"cannot read {path}: {error.strerror}") from None
    try:
        if not text.strip():
            raise StructureError("the file is empty")
        topology, positions, keys = reader(text)
        return _checked(topology, positions, keys)
    except StructureError as error:
        raise StructureError(f"{path}: {error}") from None


def _checked(topology: app.Topology, positions: np.ndarray, keys: dict[str, float]) -> Structure:
    if topology.getNumAtoms() == 0:
        raise StructureError("there are no atoms in it")
    for atom, position in zip(topology.atoms(), positions, strict=True):
        if not np.isfinite(position).all():
            raise StructureError(f"the position of {describe_atom(atom)} is not finite")
    structure = Structure(topology, positions, keys.get("charge"), keys.get("spin"))
    if structure.is_periodic and abs(np.linalg.det(structure.box)) < 1e-6:
        raise StructureError("the box has no volume; give three box vectors that span one, or none")
    add_missing_bonds(topology, positions, structure.box)
    structure.bonds_span_box = make_molecules_whole(topology, positions, structure.box)
    refuse_missing_hydrogens(topology, positions)
    return structure


def describe_atom(atom) -> str:
    """An atom of a topology as a reader of the file finds it."""
    return f"atom {atom.index + 1} ({atom.name} of {atom.residue.name} {atom.residue.id})"
