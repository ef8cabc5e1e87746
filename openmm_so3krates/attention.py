"""The Euclidean attention of one layer for arrays: `openmm_so3krates.ops.euclidean_attention`."""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass

import numpy as np

from . import _engine
from .hyperparameters import Hyperparameters
from .potential import Model, _array, _refuse_gpu, _threads

_ROWS = ("query_x", "key_x", "value_x", "query_ev", "key_ev", "ev")


@dataclass(frozen=True)
class AttentionGradients:
    """Derivatives of a number E by everything the attention was given."""

    query_x: np.ndarray  # (N, F)
    key_x: np.ndarray  # (N, F)
    value_x: np.ndarray  # (N, F)
    query_ev: np.ndarray  # (N, F)
    key_ev: np.ndarray  # (N, F)
    ev: np.ndarray  # (N, M)
    positions: np.ndarray  # (N, 3) per Å, float64; minus the force if E is an energy
    strain: np.ndarray  # (3, 3) float64, symmetric: positions and cell strained alike; minus the virial


@dataclass(frozen=True)
class Attention:
    """What a layer's attention adds to the features (N, F) and to the Euclidean variables (N, M)."""

    features: np.ndarray
    ev: np.ndarray
    gradients: AttentionGradients | None  # None if not asked for


def euclidean_attention(
    model: str | os.PathLike | Model,
    layer: int,
    positions,
    query_x,
    key_x,
    value_x,
    query_ev,
    key_ev,
    ev,
    cell=None,
    features_gradient=None,
    ev_gradient=None,
    threads: int | None = 1,
) -> Attention:
    """The attention block of one layer of a model, with the filters of that layer, values and gradients.

    With w_ij = R(r_ij) + S(|ev_j - ev_i|² per degree), the layer's filters (one for x, one for ev), the message to the
    features of atom i is sum_j α_ij v_j per head with α_ij = f_cut(r_ij) scale sum_c q_ic w_ijc k_jc, and the message
    to its Euclidean variables sum_j α_ij Y(r_ij) per degree (Frank et al., Nat. Commun. 2024, "Methods").
    Neighbors are all atoms and periodic images closer than the model's cutoff. F: features, cut in one block per head
    (x) or per degree (ev); M: Euclidean variables, sum of 2l+1 over the degrees.

    The arithmetic has the precision of the arrays: float64, or float32 (errors about 1e-6 of an array's largest entry).
    The radial networks are the exact ones, not the splines that `Potential` uses in single precision.

    Args:
        model: a `Model`, or name or path of one, which is then read again at each call.
        layer: counted from 0. In the first layer, too, any `ev` may be given.
        positions: (N, 3) Å.
        query_x, key_x, value_x: (N, F) of the attention that makes messages to the features; after the layer's matrices
            and the activation of q and k.
        query_ev, key_ev: (N, F) of the attention that makes messages to the Euclidean variables.
        ev: (N, M) Euclidean variables at the layer's input.
        cell: (3, 3) Å, rows are box vectors; None or zeros: no periodicity. May be smaller than the cutoff.
        features_gradient, ev_gradient: (N, F) and (N, M) derivatives of a number E by the two messages. Give both for
            the gradients of E; one alone: the other is zero.
        threads: as in `Potential`.

    Returns:
        Messages and gradients, in the precision of the arrays.

    Raises:
        ValueError: wrong shapes, arrays that are not all float64 or all float32, a layer the model does not have,
            positions that are not finite, coincident atoms, a degenerate cell, arrays on a GPU.
        ModelError: the model cannot be found or used.
    """
    model = model if isinstance(model, Model) else Model.load(os.fspath(model))
    given = dict(zip(_ROWS, (query_x, key_x, value_x, query_ev, key_ev, ev), strict=True))
    upstream = {"features_gradient": features_gradient, "ev_gradient": ev_gradient}
    for name, value in {"positions": positions, "cell": cell, **given, **upstream}.items():
        _refuse_gpu(name, value)
    positions = _array(positions, "positions", (None, 3), np.float64)
    if not len(positions):
        raise ValueError("there are no atoms")
    cell = np.zeros((0, 3)) if cell is None else _array(cell, "cell", (3, 3), np.float64)
    hyper = Hyperparameters.from_json(model.metadata["hyperparameters"])
    if isinstance(layer, bool) or not 0 <= layer < hyper.num_layers:
        raise ValueError(f"the model has layers 0 to {hyper.num_layers - 1}, not {layer}")
    dtype = _dtype(given)
    widths = {name: hyper.num_features for name in (*_ROWS, "features_gradient")}
    widths["ev"] = widths["ev_gradient"] = hyper.num_euclidean

    def rows(name: str, value) -> np.ndarray:
        return _array(value, name, (len(positions), widths[name]), dtype)

    wanted = [name for name, value in upstream.items() if value is not None]
    gradients = [
        np.zeros((len(positions), widths[name]), dtype) if value is None else rows(name, value)
        for name, value in upstream.items()
        if wanted
    ]
    engine = _engine_of(model, dtype, 0 if threads is None else _threads(threads))
    out = engine.compute(int(layer), positions, cell, [rows(name, value) for name, value in given.items()], gradients)
    if not wanted:
        return Attention(*out, None)
    features, ev, by_rows, by_positions, strain = out
    return Attention(
        features, ev, AttentionGradients(*by_rows, by_positions, strain[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]])
    )


def _dtype(arrays: dict[str, object]) -> np.dtype:
    dtypes = {name: np.asarray(value).dtype for name, value in arrays.items()}
    if len(set(dtypes.values())) > 1 or dtypes["query_x"] not in (np.float32, np.float64):
        found = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise ValueError(f"q, k, v and ev must all be float64 or all be float32, not {found}")
    return dtypes["query_x"]


# Engines keep packed weights and work space; they go with their model.
_engines: weakref.WeakKeyDictionary[Model, dict] = weakref.WeakKeyDictionary()


def _engine_of(model: Model, dtype: np.dtype, threads: int):
    kept = _engines.setdefault(model, {})
    key = (dtype, threads, os.getpid())  # threads do not survive fork()
    if key not in kept:
        make = _engine.AttentionSingle if dtype == np.float32 else _engine.AttentionDouble
        kept[key] = make(model, threads)
    return kept[key]
