"""Real spherical harmonics of degree 0 to 4 and the contraction of Euclidean variables to one number per degree."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_PI = math.pi


def spherical_harmonics(unit_vectors: Tensor, degrees: Sequence[int]) -> Tensor:
    """Real orthonormal spherical harmonics, the chosen degrees one after the other.

    `unit_vectors` (E, 3) are x, y, z of length 1; the result is (E, Σ 2l+1). Within a degree m runs from -l to l;
    there is no Condon-Shortley phase, so degree 1 is sqrt(3/4π) (y, z, x).
    """
    x, y, z = unit_vectors.unbind(-1)
    return torch.cat([torch.stack(_DEGREES[degree](x, y, z), dim=-1) for degree in degrees], dim=-1)


def _degree_0(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    return [torch.full_like(x, math.sqrt(1 / (4 * _PI)))]


def _degree_1(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    a = math.sqrt(3 / (4 * _PI))
    return [a * y, a * z, a * x]


def _degree_2(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    a = math.sqrt(15 / (4 * _PI))
    return [
        a * x * y,
        a * y * z,
        math.sqrt(5 / (16 * _PI)) * (3 * z**2 - 1),
        a * x * z,
        0.5 * a * (x**2 - y**2),
    ]


def _degree_3(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    a = math.sqrt(35 / (32 * _PI))
    b = math.sqrt(105 / (4 * _PI))
    c = math.sqrt(21 / (32 * _PI))
    return [
        a * y * (3 * x**2 - y**2),
        b * x * y * z,
        c * y * (5 * z**2 - 1),
        math.sqrt(7 / (16 * _PI)) * (5 * z**3 - 3 * z),
        c * x * (5 * z**2 - 1),
        0.5 * b * (x**2 - y**2) * z,
        a * x * (x**2 - 3 * y**2),
    ]


def _degree_4(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    a = 0.75 * math.sqrt(35 / _PI)
    b = 0.75 * math.sqrt(35 / (2 * _PI))
    c = 0.75 * math.sqrt(5 / _PI)
    d = 0.75 * math.sqrt(5 / (2 * _PI))
    return [
        a * x * y * (x**2 - y**2),
        b * y * (3 * x**2 - y**2) * z,
        c * x * y * (7 * z**2 - 1),
        d * y * (7 * z**3 - 3 * z),
        3 / 16 * math.sqrt(1 / _PI) * (35 * z**4 - 30 * z**2 + 3),
        d * x * (7 * z**3 - 3 * z),
        0.5 * c * (x**2 - y**2) * (7 * z**2 - 1),
        b * x * (x**2 - 3 * y**2) * z,
        0.25 * a * (x**4 - 6 * x**2 * y**2 + y**4),
    ]


_DEGREES = (_degree_0, _degree_1, _degree_2, _degree_3, _degree_4)


def contract(ev: Tensor, degrees: Sequence[int]) -> Tensor:
    """Per-degree squared norms (1/sqrt(2l+1)) Σ_m ev_lm²: (…, M) to (…, D), invariant under rotation."""
    blocks = ev.split([2 * degree + 1 for degree in degrees], dim=-1)
    norms = [(block**2).sum(-1) / math.sqrt(block.shape[-1]) for block in blocks]
    return torch.stack(norms, dim=-1)


def expand(per_degree: Tensor, degrees: Sequence[int]) -> Tensor:
    """Repeats one number per degree for each of its 2l+1 components: (…, D) to (…, M)."""
    repeats = torch.tensor([2 * degree + 1 for degree in degrees], device=per_degree.device)
    return per_degree.repeat_interleave(repeats, dim=-1)
