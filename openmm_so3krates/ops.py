"""Single parts of the engine for arrays of atoms, in Å.

Arrays may be anything NumPy can read, CPU torch tensors too: computed on the CPU, results are NumPy arrays. Or torch
tensors and CuPy arrays on a GPU: computed there, results are arrays of the same library.
"""

from __future__ import annotations

import os
import threading

import numpy as np

from . import _engine
from .attention import Attention, AttentionGradients, euclidean_attention
from .device_arrays import contiguous, device_array, empty_beside, is_on_gpu
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
        by receiver, then sender, then shift. Positions on a GPU are read after what their library's current stream
        holds, and what is returned is ready on every stream. Its kernels take seconds to compile the first time.

    Raises:
        ValueError: wrong shapes, positions or a box that are not finite numbers, coincident atoms (closer than 1e-4 Å),
            a degenerate box, a cutoff that is not a positive length, a cell on a GPU.
        DeviceError: there is no usable driver or run-time compiler; a failure of the GPU.
    """
    _refuse_gpu("cell", cell)
    if cell is not None:
        cell = _array(cell, "cell", (3, 3), np.float64)
    cutoff = _number(cutoff, "cutoff")
    if is_on_gpu(positions):
        return _neighbor_list_on_gpu(positions, cutoff, np.zeros((0, 3)) if cell is None else cell)
    return _engine.neighbor_list(_array(positions, "positions", (None, 3), np.float64), cutoff, cell)


def _neighbor_list_on_gpu(positions, cutoff: float, cell: np.ndarray):
    given = device_array(positions, "positions")
    if len(given.shape) != 2 or given.shape[1] != 3:
        raise ValueError(f"positions must have shape (N, 3), not {given.shape}")
    if not cutoff > 0:
        raise ValueError("the cutoff must be a positive length")
    read = contiguous(given, "float64")
    atoms = given.shape[0]
    with _lock:  # what write() fills in is what find() found last
        edges = _edge_list(given.index) if atoms else None
        count = edges.find(atoms, read.address, cell, cutoff, given.stream) if atoms else 0
        room = [empty_beside(given, *shape, dtype="int32") for shape in ((count,), (count,), (count, 3))]
        if count:
            edges.write(*(address for _, address in room), given.stream)
    return tuple(array for array, _ in room)


_lock = threading.Lock()
_edge_lists: dict[tuple[int, int], object] = {}


def _edge_list(index: int):
    """The engine of one GPU, which keeps its memory."""
    key = (index, os.getpid())  # a GPU does not survive fork()
    if key not in _edge_lists:
        _edge_lists[key] = _engine.EdgeList(index)
    return _edge_lists[key]
