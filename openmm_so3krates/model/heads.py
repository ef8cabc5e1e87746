"""What is read from the final features of each atom: energy, partial charge, Hirshfeld ratio."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..hyperparameters import Hyperparameters
from .activations import activation
from .dense import dense, lecun_normal_
from .graph import sum_by


class EnergyHead(nn.Module):
    """Atomic energy in eV: scale[Z] · network(x) + shift[Z]."""

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        rows = hyper.max_atomic_number + 1
        width = hyper.energy_hidden or hyper.num_features
        self.activation = activation(hyper.energy_activation)
        self.hidden = dense(hyper.num_features, width) if hyper.energy_hidden else None
        self.out = dense(width, 1)
        self.scales = nn.Parameter(torch.ones(rows))
        self.shifts = nn.Parameter(torch.zeros(rows))

    def forward(self, x: Tensor, atomic_numbers: Tensor) -> Tensor:
        """Features (N, F), atomic numbers (N,); returns (N,) eV."""
        y = x if self.hidden is None else self.activation(self.hidden(x))
        return self.scales[atomic_numbers] * self.out(y).squeeze(-1) + self.shifts[atomic_numbers]


class PartialChargeHead(nn.Module):
    """Partial charges in e, corrected evenly over the molecule's atoms so that they add up to its total charge.

    Source: Unke and Meuwly, J. Chem. Theory Comput. 15, 3678 (2019).
    """

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        self.activation = activation(hyper.energy_activation)
        self.hidden = dense(hyper.num_features, hyper.num_features)
        self.out = dense(hyper.num_features, 1)
        self.element = nn.Parameter(torch.zeros(hyper.max_atomic_number + 1))

    def forward(self, x: Tensor, atomic_numbers: Tensor, charges: Tensor, molecule: Tensor) -> Tensor:
        """Features (N, F), atomic numbers (N,), total charges (molecules,) e; returns (N,) e."""
        raw = self.out(self.activation(self.hidden(x))).squeeze(-1) + self.element[atomic_numbers]
        num_atoms = sum_by(torch.ones_like(raw), molecule, len(charges))
        missing = (charges - sum_by(raw, molecule, len(charges))) / num_atoms
        return raw + missing[molecule]


class HirshfeldHead(nn.Module):
    """Hirshfeld ratio, the volume of the atom in the molecule over that of the free atom: |shift[Z] + query[Z] · g(x)|.

    Source: the SO3LR paper, Kabylda et al., J. Am. Chem. Soc. 147, 33723 (2025).
    """

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        rows, half = hyper.max_atomic_number + 1, hyper.num_features // 2
        self.activation = activation(hyper.energy_activation)
        self.hidden = dense(hyper.num_features, half)
        self.out = dense(half, half)
        self.element_shift = nn.Parameter(torch.ones(rows))  # a free atom has ratio 1
        self.element_query = nn.Parameter(lecun_normal_(torch.empty(rows, half), half))

    def forward(self, x: Tensor, atomic_numbers: Tensor) -> Tensor:
        """Features (N, F), atomic numbers (N,); returns (N,)."""
        g = self.out(self.activation(self.hidden(x)))
        query = self.element_query[atomic_numbers]
        return torch.abs(self.element_shift[atomic_numbers] + (query * g).sum(-1) / math.sqrt(g.shape[-1]))
