"""One SO3krates layer: attention between atoms, then interaction of features and Euclidean variables in each atom.

Source: Frank, Unke, Müller and Chmiela, Nat. Commun. 15, 6539 (2024); layer norms and residual perceptrons are
where the code that trained SO3LR has them (after the block they belong to).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..hyperparameters import Hyperparameters
from .activations import activation
from .attention import EuclideanAttention
from .dense import TwoLayerPerceptron, dense
from .graph import Edges
from .spherical_harmonics import contract, expand


class Layer(nn.Module):
    """(x, ev) -> (x, ev), shapes (N, F) and (N, M)."""

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        features = hyper.num_features
        self.degrees = hyper.degrees
        self.activation = activation(hyper.activation)

        def norm() -> nn.LayerNorm:
            return nn.LayerNorm(features, eps=1e-6)

        def perceptron() -> TwoLayerPerceptron:
            return TwoLayerPerceptron(features, features, features, self.activation)

        self.attention = EuclideanAttention(hyper)
        self.norm_1 = norm() if hyper.layer_norm_1 else None
        self.mlp_1 = perceptron() if hyper.residual_mlp_1 else None
        self.exchange = dense(features + hyper.num_degrees, features + hyper.num_degrees)
        self.mlp_2 = perceptron() if hyper.residual_mlp_2 else None
        self.norm_2 = norm() if hyper.layer_norm_2 else None

    def forward(self, x: Tensor, ev: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        delta_x, delta_ev = self.attention(x, ev, edges)
        x, ev = x + delta_x, ev + delta_ev
        if self.norm_1 is not None:
            x = self.norm_1(x)
        if self.mlp_1 is not None:
            x = x + self.mlp_1(self.activation(x))
        x, ev = self._exchange(x, ev)
        if self.mlp_2 is not None:
            x = x + self.mlp_2(self.activation(x))
        if self.norm_2 is not None:
            x = self.norm_2(x)
        return x, ev

    def _exchange(self, x: Tensor, ev: Tensor) -> tuple[Tensor, Tensor]:
        """Features see the norms of the Euclidean variables; each degree of these is scaled by what features say."""
        y = self.exchange(torch.cat([x, contract(ev, self.degrees)], dim=-1))
        delta_x, scale = y.split([x.shape[-1], len(self.degrees)], dim=-1)
        return x + delta_x, ev + expand(scale, self.degrees) * ev
