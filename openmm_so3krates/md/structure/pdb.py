"""PDB files: OpenMM reads them, we refuse what it would silently guess or drop."""

from __future__ import annotations

import io
import math
import warnings

import numpy as np
from openmm import app, unit

from openmm_so3krates.md.errors import StructureError
from openmm_so3krates.md.structure.elements import is_element_symbol


def read_pdb(text: str) -> tuple[app.Topology, np.ndarray, dict[str, float]]:
    """Topology, positions (N, 3) in nm, and no further keys. Raises `StructureError`."""
    num_atoms = _check_records(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of atoms with one name, which we refuse below
            pdb = app.PDBFile(io.StringIO(text))
    except Exception as error:  # OpenMM raises whatever its parser trips over
        raise StructureError(f"OpenMM cannot read it as PDB: {error or type(error).__name__}") from None
    if pdb.topology.getNumAtoms() != num_atoms:
        raise StructureError(
            f"it has {num_atoms} atom records, but only {pdb.topology.getNumAtoms()} atoms have a name of their own "
            "within their residue; give each atom its own name"
        )
    if has_placeholder_box(pdb.topology):
        pdb.topology.setPeriodicBoxVectors(None)
    return pdb.topology, pdb.getPositions(asNumpy=True).value_in_unit(unit.nanometer).astype(float), {}


def _check_records(text: str) -> int:
    """Number of atom records, after checking them line by line."""
    num_atoms = num_models = 0
    locations: dict[str, str] = {}  # residue: the label of its alternate location
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("MODEL "):
            num_models += 1
            if num_models > 1:
                raise StructureError(f"it holds several models (the second begins in line {number}); keep one of them")
        if not line.startswith(("ATOM  ", "HETATM")):
            continue
        num_atoms += 1
        element, label, residue = line[76:78].strip(), line[16:17].strip(), line[17:27].strip()
        if not element:
            raise StructureError(
                f"line {number} ({line[12:16].strip()} of {residue}) names no element in columns 77-78, and guessing "
                "it from the atom's name is not safe; add the elements, for example with Open Babel"
            )
        if not is_element_symbol(element):
            raise StructureError(f"line {number} names an unknown element, {element!r}, in columns 77-78")
        if label and locations.setdefault(residue, label) != label:
            raise StructureError(
                f"line {number}: residue {residue} has alternate locations ({locations[residue]} and {label}); "
                "keep one of them"
            )
        try:
            finite = all(math.isfinite(float(line[start : start + 8])) for start in (30, 38, 46))
        except ValueError:
            finite = False
        if not finite:
            raise StructureError(f"line {number}: the coordinates in columns 31-54 are not three finite numbers")
    if num_atoms == 0:
        raise StructureError("there are no ATOM or HETATM records in it")
    return num_atoms


def has_placeholder_box(topology: app.Topology) -> bool:
    """Structures without a crystal carry a cell of 1 Å x 1 Å x 1 Å by convention of the PDB."""
    dimensions = topology.getUnitCellDimensions()
    return dimensions is not None and np.allclose(dimensions.value_in_unit(unit.angstrom), 1.0, atol=1e-3)
