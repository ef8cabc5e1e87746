"""Single parts of the engine for arrays of atoms, in Å.

Computed on the CPU. Arrays may be anything NumPy can read, CPU torch tensors too; results are NumPy arrays.
"""

from __future__ import annotations

import numpy as np

from . import _engine
from .attention import Attention, AttentionGradients, euclidean_attention
from .potential import _array, _number, _refuse_gpu

__all__ = ["Attention", "AttentionGradients", "euclidean_attention", "neighbor_list"]


def neighbor_list(positions, cutoff: float, cell=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of atoms closer than a cutoff, every periodic image of a neighbor an entry of its own.

    The vector from receiver to sender of entry e is positions[senders[e]] + shifts[e] @ cell - positions[receivers[e]],
    and its length is below the cutoff. Both directions of a pair are listed; an atom's own images are, the atom itself
    is not. The cost is proportional to the number of atoms and their neighbors, wherever the atoms are.

    Args:
        positions: (N, 3) Å. Atoms may lie outside the box, and anywhere up to 1e8 Å.
        cutoff: Å, above 0. May be larger than the box.
        cell: (3, 3) Å, rows are box vectors of any orientation; None or all zeros: no periodicity.

    Returns:
        receivers (E,), senders (E,) and shifts (E, 3), int32: indices of atoms and whole numbers of box vectors, sorted
        by receiver, then sender, then shift.

    Raises:
        ValueError: wrong shapes, positions or a box that are not finite numbers, coincident atoms (closer than 1e-4 Å),
            a degenerate box, a cutoff that is not a positive length, arrays on a GPU.
    """
    for name, value in (("positions", positions), ("cell", cell)):
        _refuse_gpu(name, value)
    positions = _array(positions, "positions", (None, 3), np.float64)
    if cell is not None:
        cell = _array(cell, "cell", (3, 3), np.float64)
    return _engine.neighbor_list(positions, _number(cutoff, "cutoff"), cell)
