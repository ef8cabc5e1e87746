"""Van der Waals dispersion of atoms as coupled quantum Drude oscillators, scaled by Hirshfeld ratios.

Sources: Khabibrakhmanov, Fedorov and Tkatchenko, J. Chem. Theory Comput. 19, 7895 (2023); Tkatchenko and Scheffler,
Phys. Rev. Lett. 102, 073005 (2009); the SO3LR paper, Kabylda et al., J. Am. Chem. Soc. 147, 33723 (2025).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .. import free_atoms
from ..hyperparameters import Hyperparameters, ModelError
from .constants import BOHR, FINE_STRUCTURE, HARTREE
from .cutoff import switch_function

# Polynomial for the oscillator's width as a function of the van der Waals radius (atomic units).
_WIDTH = (-0.00433008, 0.24428889, 0.04125273, -0.00078893)
_DAMPING_RADIUS = 2 * 2.54  # p = scale · this · polarizability^(1/7), a₀


class Dispersion(nn.Module):
    """-(C6/(R⁶+p⁶) + C8/(R⁸+p⁸) + C10/(R¹⁰+p¹⁰)), half of it per directed edge."""

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        rows = hyper.max_atomic_number + 1
        if rows > len(free_atoms.polarizabilities()):
            raise ModelError(
                f"dispersion has reference values for atomic numbers 1 to {len(free_atoms.polarizabilities()) - 1}; "
                f"elements must not contain {hyper.max_atomic_number}"
            )
        self.gamma_scale = hyper.dispersion_gamma_scale
        self.register_buffer("polarizability", torch.tensor(free_atoms.polarizabilities()[:rows]))
        self.register_buffer("c6", torch.tensor(free_atoms.c6_coefficients()[:rows]))

    def forward(
        self,
        atomic_numbers: Tensor,
        hirshfeld_ratios: Tensor,
        receivers: Tensor,
        senders: Tensor,
        distances: Tensor,
        lr_cutoff: float | None,
        switch_width: float,
    ) -> Tensor:
        """Atomic numbers and Hirshfeld ratios (N,), directed edges with distances in Å (E,); returns (E,) eV.

        With a cutoff, the energy is switched off over the last `switch_width` Å before it.
        """
        alpha = self.polarizability[atomic_numbers] * hirshfeld_ratios
        c6 = self.c6[atomic_numbers] * hirshfeld_ratios**2
        alpha_i, alpha_j, c6_i, c6_j = alpha[receivers], alpha[senders], c6[receivers], c6[senders]
        alpha_ij = 0.5 * (alpha_i + alpha_j)
        c6_ij = 2 * c6_i * c6_j * alpha_i * alpha_j / (alpha_i**2 * c6_j + alpha_j**2 * c6_i)

        root = alpha_ij ** (1 / 7)
        radius = FINE_STRUCTURE ** (-4 / 21) * root
        a0, a1, a2, a3 = _WIDTH
        width = a0 + radius * (a1 + radius * (a2 + radius * a3))
        gamma = 0.5 / width**2
        c8_ij = 5 * c6_ij / gamma
        c10_ij = 245 / 8 * c6_ij / gamma**2

        damping = self.gamma_scale * _DAMPING_RADIUS * root
        r = distances / BOHR
        energy = (
            -0.5
            * HARTREE
            * (c6_ij / (r**6 + damping**6) + c8_ij / (r**8 + damping**8) + c10_ij / (r**10 + damping**10))
        )
        if lr_cutoff is not None:
            energy = energy * switch_function(distances, lr_cutoff - switch_width, lr_cutoff)
        return energy
