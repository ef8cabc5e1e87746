"""The nonlinearities a model file can name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]


def _identity(x: Tensor) -> Tensor:
    return x


_ACTIVATIONS: dict[str, Activation] = {
    "identity": _identity,
    "silu": functional.silu,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),  # torch's own softplus is linear above 20
    "tanh": torch.tanh,
    "relu": torch.relu,
}


def activation(name: str) -> Activation:
    """The elementwise function of this name, one of `hyperparameters.ACTIVATIONS`."""
    return _ACTIVATIONS[name]
