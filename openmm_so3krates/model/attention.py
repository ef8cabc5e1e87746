"""The attention block: neighbors change an atom's features and its Euclidean variables.

Source: Frank, Unke, Müller and Chmiela, Nat. Commun. 15, 6539 (2024), section "Methods", Euclidean attention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..hyperparameters import Hyperparameters
from .activations import activation
from .dense import TwoLayerPerceptron, lecun_normal_
from .graph import Edges, sum_by
from .spherical_harmonics import contract, expand


class Filter(nn.Module):
    """w_ij = radial network of the distance + spherical network of how the Euclidean variables differ; (E, F)."""

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        features, phi = hyper.num_features, activation(hyper.activation)
        self.radial = TwoLayerPerceptron(hyper.num_radial_basis, features, features, phi)
        self.spherical = (
            TwoLayerPerceptron(hyper.num_degrees, hyper.num_spherical_hidden, features, phi)
            if hyper.use_spherical_filter
            else None
        )

    def forward(self, radial_basis: Tensor, ev_norms: Tensor) -> Tensor:
        """Radial basis (E, K) and per-degree norms of ev_j - ev_i (E, D)."""
        w = self.radial(radial_basis)
        return w if self.spherical is None else w + self.spherical(ev_norms)


def block_weights(num_blocks: int, width: int) -> nn.Parameter:
    """One (width × width) matrix per block of features: (blocks, out, in)."""
    return nn.Parameter(lecun_normal_(torch.empty(num_blocks, width, width), width))


def blockwise(weights: Tensor, x: Tensor) -> Tensor:
    """Cuts x (N, F) into contiguous blocks and multiplies each with its own matrix: (N, blocks, F/blocks)."""
    blocks = x.reshape(len(x), weights.shape[0], weights.shape[2])
    return torch.einsum("boi,nbi->nbo", weights, blocks)


class EuclideanAttention(nn.Module):
    """Attention without softmax: α_ij = φ_cut(r_ij) scale Σ_c q_ic w_ijc k_jc, one per head or degree.

    Heads (suffix x) carry messages between features; the second attention (suffix ev) has one block of features
    per degree, whatever the number of heads, and weighs the spherical harmonics of the edge's direction.
    """

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        heads, degrees = hyper.num_heads, hyper.num_degrees
        head_width, degree_width = hyper.num_features // heads, hyper.num_features // degrees
        self.degrees = hyper.degrees
        self.qk_activation = activation(hyper.qk_activation)
        self.scale_x = hyper.message_scale(heads)
        self.scale_ev = hyper.message_scale(degrees)
        self.filter_x = Filter(hyper)
        self.filter_ev = Filter(hyper)
        self.query_x = block_weights(heads, head_width)
        self.key_x = block_weights(heads, head_width)
        self.value_x = block_weights(heads, head_width)
        self.query_ev = block_weights(degrees, degree_width)
        self.key_ev = block_weights(degrees, degree_width)

    def forward(self, x: Tensor, ev: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """Features x (N, F) and Euclidean variables ev (N, M); returns what is to be added to each."""
        i, j = edges.receivers, edges.senders
        ev_norms = contract(ev[j] - ev[i], self.degrees)

        w = self.filter_x(edges.radial_basis, ev_norms)
        alpha = self.scale_x * edges.cutoff.unsqueeze(-1) * self._coefficients(x, self.query_x, self.key_x, w, i, j)
        value = blockwise(self.value_x, x)
        messages = alpha.unsqueeze(-1) * value[j]
        delta_x = sum_by(messages.flatten(1), i, len(x))

        w = self.filter_ev(edges.radial_basis, ev_norms)
        alpha = self.scale_ev * edges.cutoff.unsqueeze(-1) * self._coefficients(x, self.query_ev, self.key_ev, w, i, j)
        delta_ev = sum_by(expand(alpha, self.degrees) * edges.spherical_harmonics, i, len(x))
        return delta_x, delta_ev

    def _coefficients(self, x: Tensor, query: Tensor, key: Tensor, w: Tensor, i: Tensor, j: Tensor) -> Tensor:
        q = self.qk_activation(blockwise(query, x))
        k = self.qk_activation(blockwise(key, x))
        return (q[i] * w.reshape(len(w), *q.shape[1:]) * k[j]).sum(-1)
