"""The molecular graph: neighbor lists with periodic images, and sums over edges and molecules.

An edge is directed, from a sender j to a receiver i; both directions of every pair are in a list. In a box every
image of a neighbor inside the cutoff is an edge of its own, images of the atom itself included.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..hyperparameters import Hyperparameters
from .cutoff import cutoff_function
from .molecules import Molecules, cell_heights
from .spherical_harmonics import spherical_harmonics


@dataclass(frozen=True)
class NeighborList:
    """Directed edges (E,) sorted by receiver, with the whole-number box vectors `shifts` (E, 3) to add to the sender.

    The displacement of an edge is positions[sender] + shift @ cell - positions[receiver].
    """

    receivers: Tensor
    senders: Tensor
    shifts: Tensor

    def to(self, device: torch.device) -> NeighborList:
        return NeighborList(self.receivers.to(device), self.senders.to(device), self.shifts.to(device))


@dataclass(frozen=True)
class Edges:
    """A neighbor list with what the layers need to know of the geometry, E edges."""

    receivers: Tensor  # (E,)
    senders: Tensor  # (E,)
    distances: Tensor  # (E,) Å
    cutoff: Tensor  # (E,) cutoff function
    radial_basis: Tensor  # (E, K)
    spherical_harmonics: Tensor  # (E, M)


def sum_by(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sums the rows of `values` that have the same index: (E, …) to (size, …)."""
    return values.new_zeros((size, *values.shape[1:])).index_add(0, index, values)


def displacements(positions: Tensor, cells: Tensor, molecule: Tensor, neighbors: NeighborList) -> Tensor:
    """Vectors from receiver to sender (E, 3), Å; positions (N, 3), cells (molecules, 3, 3), molecule (N,)."""
    shift_vectors = torch.einsum(
        "ek,ekx->ex", neighbors.shifts.to(positions.dtype), cells[molecule[neighbors.receivers]]
    )
    return positions[neighbors.senders] + shift_vectors - positions[neighbors.receivers]


def network_edges(vectors: Tensor, neighbors: NeighborList, basis: torch.nn.Module, hyper: Hyperparameters) -> Edges:
    """Distances, directions and their expansions of the short-range list; `vectors` (E, 3) in Å."""
    distances = torch.linalg.vector_norm(vectors, dim=-1)
    return Edges(
        receivers=neighbors.receivers,
        senders=neighbors.senders,
        distances=distances,
        cutoff=cutoff_function(distances, hyper),
        radial_basis=basis(distances),
        spherical_harmonics=spherical_harmonics(vectors / distances.unsqueeze(-1), hyper.degrees),
    )


# -- neighbor lists --------------------------------------------------------------------------------


def neighbor_list(molecules: Molecules, cutoff: float) -> NeighborList:
    """All directed pairs of one molecule at a distance up to `cutoff` (Å, may be infinite without a box).

    Brute force over pairs and images, N² work for each molecule: the reference, meant for molecules of up to some
    thousand atoms. Plain numbers, outside of any gradient.
    Raises ValueError if an infinite cutoff meets a box.
    """
    positions = molecules.positions.detach().cpu().numpy()
    cells = molecules.cells.detach().cpu().numpy()
    found = []
    for m, (start, end) in enumerate(itertools.pairwise(molecules.offsets())):
        cell = cells[m] if cells[m].any() else None
        i, j, shifts = _one_molecule(positions[start:end], cell, cutoff)
        found.append((i + start, j + start, shifts))
    receivers, senders, shifts = (
        torch.from_numpy(np.concatenate(parts)).to(molecules.positions.device) for parts in zip(*found, strict=True)
    )
    return NeighborList(receivers, senders, shifts)


def _one_molecule(positions: np.ndarray, cell: np.ndarray | None, cutoff: float) -> tuple[np.ndarray, ...]:
    if cell is None:
        wraps = np.zeros((len(positions), 3), dtype=np.int64)
        cell, images = np.zeros((3, 3)), [(0, 0, 0)]
    else:
        if math.isinf(cutoff):
            raise ValueError(
                "a periodic box needs a long-range cutoff: the sum over all its images does not end; set lr_cutoff"
            )
        # Wrapped into the box, atoms i and j + S are closer than the cutoff only for |S| <= ceil(cutoff / height).
        wraps = np.floor(positions @ np.linalg.inv(cell)).astype(np.int64)
        reach = np.ceil(cutoff / cell_heights(cell)).astype(int)
        images = itertools.product(*(range(-n, n + 1) for n in reach))
    wrapped = positions - wraps @ cell
    found = []
    for image in images:
        vectors = wrapped[None, :, :] + np.asarray(image) @ cell - wrapped[:, None, :]
        inside = (vectors**2).sum(-1) <= cutoff**2
        if not any(image):
            np.fill_diagonal(inside, False)
        i, j = np.nonzero(inside)
        found.append((i, j, np.asarray(image) - wraps[j] + wraps[i]))
    i, j, shifts = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((j, i))
    return i[order], j[order], shifts[order]
