"""Coulomb energy of the partial charges, damped at short distance and, if asked, cut at long distance.

Every pair counts, bonded or not; there is no Ewald sum.
Source: the SO3LR paper, Kabylda et al., J. Am. Chem. Soc. 147, 33723 (2025).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .constants import COULOMB
from .cutoff import switch_function

SWITCH_START = 0.45  # in units of the long-range cutoff


def electrostatic_energy(q_i: Tensor, q_j: Tensor, distances: Tensor, sigma: float, lr_cutoff: float | None) -> Tensor:
    """½ k_e q_i q_j V(r) of directed edges, V(r) = erf(r/σ)/r; charges in e, lengths in Å, result (E,) eV.

    With a cutoff R, V is shifted to zero at R, and its slope too, switched on from 0.45 R to R:
    V(r) - V(R) - (1 - S(r)) V'(R) (r - R) for r < R.
    """
    potential = torch.erf(distances / sigma) / distances
    if lr_cutoff is not None:
        end = lr_cutoff
        value = math.erf(end / sigma) / end
        slope = (
            2 / math.sqrt(math.pi) / sigma * end * math.exp(-((end / sigma) ** 2)) - math.erf(end / sigma)
        ) / end**2
        switch = switch_function(distances, SWITCH_START * end, end)
        potential = potential - value - (1 - switch) * slope * (distances - end)
        potential = torch.where(distances < end, potential, torch.zeros_like(potential))
    return 0.5 * COULOMB * q_i * q_j * potential
