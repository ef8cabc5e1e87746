"""Affine maps and the pair of them with a nonlinearity between, the network's only multilayer perceptron."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .activations import Activation


def lecun_normal_(weight: Tensor, fan_in: int) -> Tensor:
    """Fills `weight` with normal numbers of variance 1/fan_in, which keeps the variance of what it multiplies."""
    with torch.no_grad():
        return weight.normal_(0.0, 1.0 / math.sqrt(fan_in))


def dense(num_in: int, num_out: int, bias: bool = True) -> nn.Linear:
    """y = W x + b with W of shape (num_out, num_in); starts with LeCun-normal weights and no bias."""
    layer = nn.Linear(num_in, num_out, bias=bias)
    lecun_normal_(layer.weight, num_in)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class TwoLayerPerceptron(nn.ModuleList):
    """y = W₁ φ(W₀ x + b₀) + b₁; its parameters are named `0.weight`, `0.bias`, `1.weight`, `1.bias`."""

    def __init__(self, num_in: int, num_hidden: int, num_out: int, activation: Activation, bias: bool = True) -> None:
        super().__init__([dense(num_in, num_hidden, bias), dense(num_hidden, num_out, bias)])
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        first, second = self
        return second(self.activation(first(x)))
