"""Floating-point operations of the CPU engine's stages, by formula.

Counted are the additions and multiplications of single precision with spline tables, as the kernels do them; not
counted are activations, square roots, exponentials and everything done per stage instead of per pair or atom. Stages
that move or search more than they compute (lists, work space, sums) have no count.
"""

from __future__ import annotations

from ..hyperparameters import Hyperparameters

_SPLINE = 2 * 5  # a polynomial of degree 5, and the same again for its derivative
_LONG_RANGE = 200  # electrostatics and dispersion of one directed pair with all derivatives, counted by hand
_PAIR_GEOMETRY, _PAIR_GRADIENTS = 150, 200  # spherical harmonics up to degree 4, and the way back; counted by hand


_MOST_FILTER_BYTES = 96 * 2**20  # kernels/cpu/workspace.cpp: edge filters up to this are kept for the way back


def stage_flops(h: Hyperparameters, atoms: int, pairs: int, far_pairs: int) -> dict[tuple[str, int], float]:
    """(stage, layer) -> operations of one evaluation; layer -1 outside the layers.

    `pairs`: pairs inside the short cutoff, each once; `far_pairs`: pairs inside the long-range cutoff, from both sides.
    """
    F, H, D, M, S = h.num_features, h.num_heads, h.num_degrees, h.num_euclidean, h.num_spherical_hidden
    project = 2 * F * F * (3 / H + 2 / D)  # q, k and v by heads, q and k by degrees
    mlps = 4 * F * F * (h.residual_mlp_1 + h.residual_mlp_2)
    norms = 8 * F * (h.layer_norm_1 + h.layer_norm_2)
    exchange = 2 * (F + D) ** 2
    heads = h.partial_charges * 2 * F * F + h.hirshfeld_ratios * 1.5 * F * F
    energy_head = 4 * F * (h.energy_hidden or 0)  # and its gradient at once
    spherical = h.use_spherical_filter * (3 * M + 4 * D * S + 4 * S * F)  # both filters
    messages = 4 * F + 4 * M  # per pair, both directions
    coefficients = 4 * F + 6 * M + 4 * (H + D)

    flops: dict[tuple[str, int], float] = {
        ("pair geometry and ZBL", -1): pairs * _PAIR_GEOMETRY,
        ("first q, k, v", -1): atoms * project,
        ("long range", -1): far_pairs * _LONG_RANGE,
        ("pair gradients", -1): pairs * _PAIR_GRADIENTS,
    }
    last = h.num_layers - 1
    filter_layers = h.num_layers - (h.euclidean_init == "zero")
    kept = filter_layers * pairs * 4 * (2 * F + 2 * S) <= _MOST_FILTER_BYTES
    again = 0 if kept else 2 * F * _SPLINE + spherical
    for layer in range(h.num_layers):
        first = layer == 0 and h.euclidean_init == "zero"
        forward = 2 * (H + D) * (2 * _SPLINE + 5) if first else 2 * F * (2 * _SPLINE + 10) + spherical
        flops["attention forward", layer] = pairs * forward
        dense = mlps + norms + exchange
        name = "atom forward" if layer < last else "atom forward and heads"
        flops[name, layer] = atoms * (dense + (project if layer < last else energy_head + heads)) + pairs * messages
        back = coefficients + (0 if first else 2 * F * 15 + 4 * F + spherical + again)
        flops["attention backward", layer] = pairs * back
        if layer == last:
            flops["heads and atom backward", layer] = atoms * (heads + dense)
        if not first:
            flops["gradients collected, atom backward", layer] = atoms * (project + (dense if layer > 0 else 0))
    return flops
