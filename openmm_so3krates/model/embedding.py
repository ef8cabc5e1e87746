"""The atoms' initial features: element, total charge and number of unpaired electrons of the molecule."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..hyperparameters import Hyperparameters
from .activations import activation
from .dense import TwoLayerPerceptron, lecun_normal_
from .graph import sum_by


def element_table(num_rows: int, num_columns: int) -> nn.Embedding:
    """One trainable row per atomic number; row 0 is unused."""
    table = nn.Embedding(num_rows, num_columns)
    lecun_normal_(table.weight, num_columns)
    return table


class MoleculePropertyEmbedding(nn.Module):
    """Spreads a number ψ of the whole molecule (charge or unpaired electrons) over its atoms, as attention does.

    Each atom's share is softplus(query · key / sqrt(F)) over the sum of the molecule; zero ψ gives exactly zero.
    ψ is any real number; its sign selects key and value.
    Source: Unke et al., Nat. Commun. 12, 7273 (2021) (SpookyNet), without its biases.
    """

    def __init__(self, num_rows: int, num_features: int) -> None:
        super().__init__()
        self.query = element_table(num_rows, num_features)
        self.key = element_table(2, num_features)
        self.value = element_table(2, num_features)
        self.residual = TwoLayerPerceptron(num_features, num_features, num_features, activation("silu"), bias=False)

    def forward(self, atomic_numbers: Tensor, psi: Tensor, molecule: Tensor) -> Tensor:
        """Atomic numbers (N,), ψ (molecules,), each atom's molecule (N,); returns (N, F)."""
        sign = (psi < 0).long()[molecule]
        query = self.query(atomic_numbers)
        share = activation("softplus")((query * self.key(sign)).sum(-1) / math.sqrt(query.shape[-1]))
        share = share / sum_by(share, molecule, len(psi))[molecule]
        h = (psi[molecule] * share).unsqueeze(-1) * self.value(sign)
        return h + self.residual(torch.nn.functional.silu(h))


class Embedding(nn.Module):
    """x⁰ = sum of the embeddings in use / sqrt(number of them)."""

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        rows = hyper.max_atomic_number + 1
        self.element = element_table(rows, hyper.num_features)
        self.charge = MoleculePropertyEmbedding(rows, hyper.num_features) if hyper.use_charge_embedding else None
        self.spin = MoleculePropertyEmbedding(rows, hyper.num_features) if hyper.use_spin_embedding else None

    def forward(self, atomic_numbers: Tensor, charges: Tensor, spins: Tensor, molecule: Tensor) -> Tensor:
        """Atomic numbers (N,), charges in e and unpaired electrons (molecules,); returns features (N, F)."""
        parts = [self.element(atomic_numbers)]
        if self.charge is not None:
            parts.append(self.charge(atomic_numbers, charges, molecule))
        if self.spin is not None:
            parts.append(self.spin(atomic_numbers, spins, molecule))
        return sum(parts) / math.sqrt(len(parts))
