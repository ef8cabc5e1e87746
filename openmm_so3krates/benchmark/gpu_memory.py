"""GPU memory of the ladder's systems, computed without a GPU: the CUDA backend's own code says what it allocates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _engine
from ..model_file import read_model_file
from ..models import resolve
from .measure import Settings
from .systems import BenchmarkSystem, Rung
from .tables import table

_CARDS = (24, 80, 141)  # GB


@dataclass(frozen=True)
class GpuMemory:
    """Bytes: `model` whatever the system, `lists`, and the rest of `total`."""

    system: str
    atoms: int
    model: int
    lists: int
    total: int


def longest_row(system: BenchmarkSystem, cutoff: float) -> int:
    """Neighbors within `cutoff` (Å) of the atom that has the most, periodic images counted."""
    from scipy.spatial import cKDTree

    edges = None if system.cell is None else np.diag(system.cell)
    if edges is not None and edges.min() < 2 * cutoff:  # sees several images of one atom
        receivers = _engine.neighbor_list(system.positions, cutoff, system.cell)[0]
        return int(np.bincount(receivers).max(initial=0))
    positions = system.positions if edges is None else system.positions % edges
    tree = cKDTree(positions, boxsize=edges)
    return int(tree.query_ball_point(positions, cutoff, return_length=True).max()) - 1  # without itself


def gpu_memory(rung: Rung, settings: Settings) -> GpuMemory:
    """Of evaluations with forces. Raises `ValueError` where an evaluation would."""
    file = resolve(settings.model)
    hyperparameters = read_model_file(file)[0]
    has_far = hyperparameters.electrostatics or hyperparameters.dispersion
    short, far = hyperparameters.cutoff, settings.lr_cutoff if has_far else 0.0
    system = rung.build()
    lengths = (short, far, max(short, far) + _engine.cuda_skin)
    found = _engine.cuda_memory(
        _engine.Model.load(str(file)),
        settings.precision,
        settings.lr_cutoff,
        system.atomic_numbers.astype(np.int32),
        system.cell,
        [longest_row(system, length) if length else 0 for length in lengths],
    )
    return GpuMemory(rung.name, rung.atoms, found["model"], found["lists"], found["total"])


def memory_table(found: list[GpuMemory]) -> str:
    rows = [
        [
            one.system,
            str(one.atoms),
            f"{one.model / 1e6:.1f}",
            f"{one.lists / 1e6:.1f}",
            f"{(one.total - one.model - one.lists) / 1e6:.1f}",
            f"{one.total / 1e6:.1f}",
            f"{(one.total - one.model) / one.atoms / 1e3:.1f}",
        ]
        for one in found
    ]
    header = ["system", "atoms", "model/MB", "lists/MB", "the rest/MB", "together/MB", "per atom/kB"]
    return table(header, rows)


def capacities(largest: GpuMemory) -> str:
    """How many atoms like those of the largest system cards hold, if nothing else is on them."""
    per_atom = (largest.total - largest.model) / largest.atoms
    numbers = [f"{(1e9 * card - largest.model) / per_atom / 1e6:.2g} million in {card} GB" for card in _CARDS]
    return f"At the largest system's {per_atom / 1e3:.1f} kB per atom: {', '.join(numbers)}"
