"""Reading input structures (PDB, mmCIF, XYZ) and refusing those that cannot be simulated."""

from openmm_so3krates.md.structure.structure import Structure, read_structure

__all__ = ["Structure", "read_structure"]
