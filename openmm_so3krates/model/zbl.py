"""Nuclear repulsion of close pairs.

Source: Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Matter (1985), with trained parameters as
in SpookyNet, Unke et al., Nat. Commun. 12, 7273 (2021).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .constants import BOHR, COULOMB
from .cutoff import switch_function

SWITCH_END = 1.5  # Å; the switch starts at distance 0

# The universal screening function of Ziegler, Biersack and Littmark.
_EXPONENTS = (3.19980, 0.94229, 0.40290, 0.20162)
_COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)
_POWER = 0.23
_LENGTH = 0.8854 * BOHR  # Å


def _inverse_softplus(value: float) -> float:
    return value + math.log(-math.expm1(-value))


class ZBLRepulsion(nn.Module):
    """½ S(r) φ_cut(r) k_e Z_i Z_j / r · Σ_k c_k exp(-a_k d r (Z_i^p + Z_j^p)) for each directed edge.

    a (4), c (4, normalised to sum 1), p and d (1/Å) are the softplus of what is trained.
    """

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([_inverse_softplus(value) for value in _EXPONENTS]))
        self.c = nn.Parameter(torch.tensor([_inverse_softplus(value) for value in _COEFFICIENTS]))
        self.p = nn.Parameter(torch.tensor([_inverse_softplus(_POWER)]))
        self.d = nn.Parameter(torch.tensor([_inverse_softplus(1 / _LENGTH)]))

    def forward(self, z_i: Tensor, z_j: Tensor, distances: Tensor, cutoff: Tensor) -> Tensor:
        """Nuclear charges, distances (Å) and cutoff function of directed edges, (E,) each; returns (E,) eV."""
        a, c, p, d = (torch.logaddexp(raw, torch.zeros_like(raw)) for raw in (self.a, self.c, self.p, self.d))
        reduced = distances * (z_i**p + z_j**p) * d
        screening = (c / c.sum() * torch.exp(-a * reduced.unsqueeze(-1))).sum(-1)
        switch = switch_function(distances, 0.0, SWITCH_END)
        return 0.5 * COULOMB * switch * cutoff * z_i * z_j / distances * screening
