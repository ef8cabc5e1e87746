"""The input of the model: one or several independent molecules, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

MIN_CELL_HEIGHT = 0.5  # Å


@dataclass(frozen=True)
class Molecules:
    """Concatenated atoms of B independent molecules that do not see each other.

    Positions and cells are float64 whatever the precision of the model, so that a molecule far from the origin keeps
    its shape.
    """

    atomic_numbers: Tensor  # (N,) int64
    positions: Tensor  # (N, 3) float64, Å
    molecule: Tensor  # (N,) int64, rising from 0 to B-1
    cells: Tensor  # (B, 3, 3) float64, Å, rows are box vectors; zeros: not periodic
    charges: Tensor  # (B,) float64, total charge in e
    spins: Tensor  # (B,) float64, number of unpaired electrons

    def __len__(self) -> int:
        return len(self.cells)

    def offsets(self) -> list[int]:
        """Index of the first atom of each molecule, and N at the end."""
        counts = torch.bincount(self.molecule, minlength=len(self)).cpu()
        return [0, *counts.cumsum(0).tolist()]


def molecules(
    atomic_numbers: Any,
    positions: Any,
    molecule: Any = None,
    cell: Any = None,
    charge: Any = 0.0,
    spin: Any = 0.0,
    device: torch.device | str = "cpu",
) -> Molecules:
    """Checks and gathers the input of `SO3krates`; arguments as there.

    Raises ValueError naming what is wrong.
    """
    atomic_numbers = _whole_numbers("atomic_numbers", atomic_numbers, device)
    positions = _real_numbers("positions", positions, device)
    if atomic_numbers.dim() != 1 or len(atomic_numbers) == 0:
        raise ValueError(f"atomic_numbers must be one list of at least one atom, not of shape {_shape(atomic_numbers)}")
    n = len(atomic_numbers)
    if tuple(positions.shape) != (n, 3):
        raise ValueError(f"positions of {n} atoms must have shape ({n}, 3), not {_shape(positions)}")
    _require_finite("positions", positions)

    if molecule is None:
        molecule = torch.zeros(n, dtype=torch.int64, device=device)
    molecule = _whole_numbers("molecule", molecule, device)
    if tuple(molecule.shape) != (n,):
        raise ValueError(f"molecule must give one index for each of the {n} atoms, not shape {_shape(molecule)}")
    steps = molecule.diff()
    if molecule[0] != 0 or ((steps != 0) & (steps != 1)).any():
        raise ValueError("molecule must be 0 for the first molecule's atoms, 1 for the second's and so on, in order")
    b = int(molecule[-1]) + 1

    spins = _per_molecule("spin", spin, b, device)
    if (spins < 0).any():
        raise ValueError(f"spin is a number of unpaired electrons and cannot be negative: {spins.min().item()}")

    return Molecules(
        atomic_numbers=atomic_numbers,
        positions=positions,
        molecule=molecule,
        cells=_cells(cell, b, device),
        charges=_per_molecule("charge", charge, b, device),
        spins=spins,
    )


def _cells(cell: Any, b: int, device: torch.device | str) -> Tensor:
    if cell is None:
        return torch.zeros(b, 3, 3, dtype=torch.float64, device=device)
    cell = _real_numbers("cell", cell, device)
    if cell.shape == (3, 3):
        cell = cell.expand(b, 3, 3)
    if tuple(cell.shape) != (b, 3, 3):
        raise ValueError(f"cell must have shape (3, 3), or ({b}, 3, 3) for {b} molecules, not {_shape(cell)}")
    _require_finite("cell", cell)
    for vectors in cell.detach().cpu().numpy():
        if vectors.any() and cell_heights(vectors).min() < MIN_CELL_HEIGHT:
            raise ValueError(
                f"the box {vectors.tolist()} Å is degenerate: its three vectors (rows) must span a volume and "
                f"opposite faces be at least {MIN_CELL_HEIGHT} Å apart (cell=None means no periodicity)"
            )
    return cell


def cell_heights(cell: np.ndarray) -> np.ndarray:
    """Distances between opposite faces of a box (3, 3), rows box vectors; (3,) in the unit of the box."""
    areas = np.linalg.norm([np.cross(cell[k - 2], cell[k - 1]) for k in range(3)], axis=1)
    return np.divide(abs(np.linalg.det(cell)), areas, out=np.zeros(3), where=areas > 0)


def _per_molecule(name: str, value: Any, b: int, device: torch.device | str) -> Tensor:
    value = _real_numbers(name, value, device)
    if value.dim() == 0:
        value = value.expand(b)
    if tuple(value.shape) != (b,):
        raise ValueError(f"{name} must be one number, or one for each of the {b} molecules, not shape {_shape(value)}")
    _require_finite(name, value)
    return value


def _tensor(name: str, value: Any, device: torch.device | str) -> Tensor:
    try:
        return torch.as_tensor(value if isinstance(value, Tensor) else np.array(value), device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be numbers in a regular array, not {value!r}") from None


def _real_numbers(name: str, value: Any, device: torch.device | str) -> Tensor:
    tensor = _tensor(name, value, device)
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{name} must be real numbers, not {tensor.dtype}")
    return tensor.to(torch.float64)


def _whole_numbers(name: str, value: Any, device: torch.device | str) -> Tensor:
    tensor = _tensor(name, value, device)
    inexact = tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool
    if inexact and tensor.numel() > 0:  # an empty list has no type
        raise ValueError(f"{name} must be whole numbers, not {tensor.dtype}")
    return tensor.to(torch.int64)


def _require_finite(name: str, tensor: Tensor) -> None:
    if not torch.isfinite(tensor).all():
        bad = tuple(torch.nonzero(~torch.isfinite(tensor))[0].tolist())
        raise ValueError(f"{name} must be finite; element {bad} is {tensor[bad].item()}")


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
