"""Radial bases: a distance expanded in K functions, the input of the radial filter networks.

None of them contains the cutoff function, which multiplies the attention coefficients instead.
Distances are in Å; every basis maps distances (E,) to (E, K) in the dtype of the distances.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..hyperparameters import Hyperparameters


class BernsteinBasis(nn.Module):
    """b_k(r) = C(K-1, k) tᵏ (1-t)^(K-1-k) with t = exp(-γ r), k = 0..K-1.

    Source: the exponential Bernstein basis of SpookyNet, Unke et al., Nat. Commun. 12, 7273 (2021).
    """

    def __init__(self, num_functions: int, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma  # 1/Å
        n = num_functions - 1
        binomials = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)]
        # Not buffers: these must stay float64 when the model is converted to float32.
        self.log_binomials = torch.tensor(binomials, dtype=torch.float64)
        self.powers = torch.arange(n + 1, dtype=torch.float64)

    def forward(self, distances: Tensor) -> Tensor:
        # The logarithms reach -130 and more: in float32 they alone would cost 1e-6 of each value.
        r = distances.double().unsqueeze(-1)
        powers, log_binomials = self.powers.to(r.device), self.log_binomials.to(r.device)
        log_t = -self.gamma * r
        log_1_minus_t = torch.log(-torch.expm1(log_t))
        exponent = log_binomials + powers * log_t + (len(powers) - 1 - powers) * log_1_minus_t
        return torch.exp(exponent).to(distances.dtype)


class GaussianBasis(nn.Module):
    """b_k(r) = exp(-(r - μ_k)² / 2 w_k²), centers and widths trained; they start evenly spaced in [0, cutoff]."""

    def __init__(self, num_functions: int, cutoff: float) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.linspace(0.0, cutoff, num_functions))
        self.widths = nn.Parameter(torch.full((num_functions,), cutoff / (num_functions - 1)))

    def forward(self, distances: Tensor) -> Tensor:
        return torch.exp(-0.5 * ((distances.unsqueeze(-1) - self.centers) / self.widths) ** 2)


class PhysNetBasis(nn.Module):
    """b_k(r) = exp(-β (e⁻ʳ - o_k)²), o_k evenly spaced in [e^-cutoff, 1], r and cutoff in Å.

    Source: Unke and Meuwly, J. Chem. Theory Comput. 15, 3678 (2019).
    """

    def __init__(self, num_functions: int, cutoff: float) -> None:
        super().__init__()
        end = math.exp(-cutoff)
        offsets = torch.linspace(end, 1.0, num_functions, dtype=torch.float64)
        self.register_buffer("offsets", offsets, persistent=False)
        self.beta = (2.0 / num_functions * (1.0 - end)) ** -2

    def forward(self, distances: Tensor) -> Tensor:
        return torch.exp(-self.beta * (torch.exp(-distances).unsqueeze(-1) - self.offsets) ** 2)


class BesselBasis(nn.Module):
    """b_n(r) = sin(π n r / cutoff) / r, K functions from n = `first` (0 only in imported models: that one is zero).

    Source: DimeNet, Gasteiger, Groß and Günnemann, ICLR 2020, without its prefactor.
    """

    def __init__(self, num_functions: int, cutoff: float, first: int) -> None:
        super().__init__()
        orders = torch.arange(first, first + num_functions, dtype=torch.float64)
        self.register_buffer("frequencies", orders * (math.pi / cutoff), persistent=False)

    def forward(self, distances: Tensor) -> Tensor:
        r = distances.unsqueeze(-1)
        return torch.sin(self.frequencies * r) / r


def radial_basis(hyper: Hyperparameters) -> nn.Module:
    """The basis that the hyperparameters name."""
    if hyper.radial_basis == "bernstein":
        return BernsteinBasis(hyper.num_radial_basis, hyper.bernstein_gamma)
    if hyper.radial_basis == "gaussian":
        return GaussianBasis(hyper.num_radial_basis, hyper.cutoff)
    if hyper.radial_basis == "physnet":
        return PhysNetBasis(hyper.num_radial_basis, hyper.cutoff)
    return BesselBasis(hyper.num_radial_basis, hyper.cutoff, hyper.bessel_first)
