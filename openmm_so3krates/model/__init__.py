"""The reference model: SO3krates in PyTorch, to be read beside the paper and to be trained.

The compiled engine is tested against it. Needs torch (`pip install openmm-so3krates[train]`).
"""

from .graph import NeighborList, neighbor_list
from .molecules import Molecules, molecules
from .so3krates import Result, SO3krates

__all__ = ["Molecules", "NeighborList", "Result", "SO3krates", "molecules", "neighbor_list"]
