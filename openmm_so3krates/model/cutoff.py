"""Functions that fade an interaction out: the network's cutoff functions and the switch of the physical terms."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..hyperparameters import Hyperparameters


def cutoff_function(distances: Tensor, hyper: Hyperparameters) -> Tensor:
    """φ_cut(r): 1 at distance 0, falling to 0 at `hyper.cutoff` and 0 beyond it.

    `distances` in Å, any shape; the result has the same shape and dtype. With x = r / cutoff:

    - phys: 1 - 10 x³ + 15 x⁴ - 6 x⁵
    - cosine: (cos πx + 1) / 2, whose second derivative jumps at the cutoff
    - polynomial: 1 - (p+1)(p+2)/2 xᵖ + p(p+2) xᵖ⁺¹ - p(p+1)/2 xᵖ⁺², p = `hyper.cutoff_exponent` (DimeNet)
    - exponential: exp(-r² / ((cutoff - r)(cutoff + r))) (SpookyNet)
    """
    x = distances / hyper.cutoff
    inside = x < 1
    # Outside, every branch is evaluated at x = 0, where all its derivatives are finite: `where` alone would
    # let a nan of the unused branch into the gradient.
    x = torch.where(inside, x, torch.zeros_like(x))
    if hyper.cutoff_function == "phys":
        # Factored: near the cutoff the expanded polynomial is a small difference of large terms.
        value = (1 - x) ** 3 * (1 + 3 * x + 6 * x**2)
    elif hyper.cutoff_function == "cosine":
        value = 0.5 * (torch.cos(math.pi * x) + 1)
    elif hyper.cutoff_function == "polynomial":
        value = _polynomial_cutoff(x, hyper.cutoff_exponent)
    else:
        value = torch.exp(-(x**2) / ((1 - x) * (1 + x)))
    return torch.where(inside, value, torch.zeros_like(value))


def _polynomial_cutoff(x: Tensor, p: int) -> Tensor:
    # 1 - (p+1)(p+2)/2 xᵖ + p(p+2) xᵖ⁺¹ - p(p+1)/2 xᵖ⁺² = (1-x)³ Σ_{k<p} (k+1)(k+2)/2 xᵏ, without cancellation.
    total = torch.zeros_like(x)
    for k in reversed(range(p)):  # Horner's rule
        total = total * x + 0.5 * (k + 1) * (k + 2)
    return (1 - x) ** 3 * total


def switch_function(distances: Tensor, start: float, end: float) -> Tensor:
    """S(r): 1 up to `start`, 0 from `end` on, infinitely often differentiable; all lengths in Å.

    S = s(1-c) / (s(1-c) + s(c)) with c = (r - start)/(end - start) and s(x) = exp(-1/x) for x > 0, else 0.
    Source: Unke et al., Nat. Commun. 12, 7273 (2021).
    """
    # Dividing both by s(1-c) gives a logistic function. Beyond the clamp it is 0 or 1 to the last bit of float64.
    c = ((distances - start) / (end - start)).clamp(1e-3, 1 - 1e-3)
    return torch.sigmoid(1 / c - 1 / (1 - c))
