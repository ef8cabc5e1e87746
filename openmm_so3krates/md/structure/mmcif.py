"""mmCIF files: OpenMM reads them, we refuse what it would silently guess or drop."""

from __future__ import annotations

import io

import numpy as np
from openmm import app, unit
from openmm.app.internal.pdbx.reader.PdbxReader import PdbxReader

from openmm_so3krates.md.errors import StructureError
from openmm_so3krates.md.structure.elements import is_element_symbol
from openmm_so3krates.md.structure.pdb import has_placeholder_box

_ABSENT = (".", "?", "")


def read_mmcif(text: str) -> tuple[app.Topology, np.ndarray, dict[str, float]]:
    """Topology, positions (N, 3) in nm, and no further keys. Raises `StructureError`."""
    num_atoms = _check_atom_sites(text)
    try:
        cif = app.PDBxFile(io.StringIO(text))
    except Exception as error:  # OpenMM raises whatever its parser trips over
        raise StructureError(f"OpenMM cannot read it as mmCIF: {error or type(error).__name__}") from None
    if cif.topology.getNumAtoms() != num_atoms:
        raise StructureError(
            f"it has {num_atoms} atom sites, but only {cif.topology.getNumAtoms()} atoms have a name of their own "
            "within their residue; give each atom its own name"
        )
    if has_placeholder_box(cif.topology):
        cif.topology.setPeriodicBoxVectors(None)
    return cif.topology, cif.getPositions(asNumpy=True).value_in_unit(unit.nanometer).astype(float), {}


def _check_atom_sites(text: str) -> int:
    """Number of atom sites, after checking them one by one."""
    blocks: list = []
    try:
        PdbxReader(io.StringIO(text)).read(blocks)
    except Exception as error:  # the parser has no exception of its own for every malformed file
        raise StructureError(f"it is not valid mmCIF: {error or type(error).__name__}") from None
    sites = blocks[0].getObj("atom_site") if blocks else None
    if sites is None or sites.getRowCount() == 0:
        raise StructureError("there is no atom_site table in it (is it a small-molecule CIF? convert it to PDB or XYZ)")

    def column(*names: str) -> list[str] | None:
        for name in names:
            index = sites.getAttributeIndex(name)
            if index != -1:
                return [row[index] for row in sites.getRowList()]
        return None

    count = sites.getRowCount()
    models = column("pdbx_PDB_model_num")
    if models is not None and len(set(models)) > 1:
        raise StructureError(f"it holds {len(set(models))} models; keep one of them")
    elements = column("type_symbol") or [""] * count
    labels = column("label_alt_id") or ["."] * count
    chains = column("auth_asym_id", "label_asym_id") or ["."] * count
    residues = column("auth_seq_id", "label_seq_id") or ["."] * count
    locations: dict[tuple[str, str], str] = {}
    for row, (element, label, chain, residue) in enumerate(zip(elements, labels, chains, residues, strict=True), 1):
        if element in _ABSENT:
            raise StructureError(f"atom site {row} names no element (type_symbol); add it")
        if not is_element_symbol(element):
            raise StructureError(f"atom site {row} names an unknown element, {element!r}")
        if label not in _ABSENT and locations.setdefault((chain, residue), label) != label:
            raise StructureError(
                f"residue {residue} of chain {chain} has alternate locations ({locations[chain, residue]} and "
                f"{label}); keep one of them"
            )
    return count
