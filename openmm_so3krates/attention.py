"""The Euclidean attention of one layer for arrays: `openmm_so3krates.ops.euclidean_attention`."""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass

import numpy as np

from . import _engine
from .device_arrays import contiguous, device_array, empty_beside, is_on_gpu
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
    strain: np.ndarray | None  # (3, 3) float64, symmetric: positions and cell strained alike; None from a GPU


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
        threads: as in `Potential`; a GPU uses none.

    All arrays but the cell may be torch tensors or CuPy arrays on one GPU, read after what their library's current
    stream holds. What is returned then are arrays of that library, ready on every stream, without `strain`.

    Returns:
        Messages and gradients, in the precision of the arrays.

    Raises:
        ValueError: wrong shapes, arrays that are not all float64 or all float32, a layer the model does not have,
            positions that are not finite, coincident atoms, a degenerate cell, some arrays on a GPU and others not.
        ModelError: the model cannot be found or used.
        DeviceError: arrays on different GPUs; there is no usable driver or run-time compiler; a failure of the GPU.
    """
    model = model if isinstance(model, Model) else Model.load(os.fspath(model))
    given = dict(zip(_ROWS, (query_x, key_x, value_x, query_ev, key_ev, ev), strict=True))
    upstream = {"features_gradient": features_gradient, "ev_gradient": ev_gradient}
    _refuse_gpu("cell", cell)
    cell = np.zeros((0, 3)) if cell is None else _array(cell, "cell", (3, 3), np.float64)
    hyper = Hyperparameters.from_json(model.metadata["hyperparameters"])
    if not isinstance(layer, (int, np.integer)) or isinstance(layer, bool) or not 0 <= layer < hyper.num_layers:
        raise ValueError(f"the model has layers 0 to {hyper.num_layers - 1}, not {layer}")
    widths = {name: hyper.num_features for name in (*_ROWS, "features_gradient")}
    widths["ev"] = widths["ev_gradient"] = hyper.num_euclidean
    threads = 0 if threads is None else _threads(threads)
    arrays = {"positions": positions, **given, **{k: v for k, v in upstream.items() if v is not None}}
    on_gpu = [name for name, value in arrays.items() if is_on_gpu(value)]
    if len(on_gpu) == len(arrays):
        out = _on_gpu(model, int(layer), arrays, cell, widths)
    elif on_gpu:
        raise ValueError(f"{on_gpu[0]} is an array on a GPU and others are not: give all on one GPU, or none")
    else:
        out = _on_host(model, int(layer), arrays, cell, widths, threads)
    features, ev, by_rows, by_positions, strain = out
    if not by_rows:
        return Attention(features, ev, None)
    if strain is not None:
        strain = strain[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
    return Attention(features, ev, AttentionGradients(*by_rows, by_positions, strain))


def _on_host(model: Model, layer: int, arrays: dict, cell: np.ndarray, widths: dict[str, int], threads: int):
    positions = _array(arrays["positions"], "positions", (None, 3), np.float64)
    if not len(positions):
        raise ValueError("there are no atoms")
    dtype = _dtype({name: np.asarray(arrays[name]).dtype for name in _ROWS})
    rows = {
        name: _array(value, name, (len(positions), widths[name]), dtype)
        for name, value in arrays.items()
        if name != "positions"
    }
    upstream = [rows.get(name, np.zeros((len(positions), widths[name]), dtype)) for name in _upstream(rows)]
    make = _engine.AttentionSingle if dtype == np.float32 else _engine.AttentionDouble
    engine = _engine_of(model, (dtype, threads), lambda: make(model, threads))
    out = engine.compute(layer, positions, cell, [rows[name] for name in _ROWS], upstream)
    return out if upstream else (*out, [], None, None)


def _on_gpu(model: Model, layer: int, arrays: dict, cell: np.ndarray, widths: dict[str, int]):
    given = {name: device_array(value, name) for name, value in arrays.items()}
    positions = given.pop("positions")
    atoms = positions.shape[0] if len(positions.shape) == 2 else 0
    if positions.shape != (atoms, 3) or atoms == 0:
        raise ValueError(f"positions must have shape (N, 3) with at least one atom, not {positions.shape}")
    for name, array in given.items():
        if array.shape != (atoms, widths[name]):
            raise ValueError(f"{name} must have shape ({atoms}, {widths[name]}), not {array.shape}")
    dtype = str(_dtype({name: np.dtype(given[name].dtype) for name in _ROWS}))
    rows = {name: contiguous(array, dtype) for name, array in given.items()}
    for name in _upstream(rows):
        if name not in rows:
            zeros, _ = empty_beside(positions, atoms, widths[name], dtype=dtype)
            zeros[...] = 0
            rows[name] = device_array(zeros, name)
    read = contiguous(positions, "float64")
    names = ("features_gradient", "ev_gradient", *(_ROWS if _upstream(rows) else ()))
    room = [empty_beside(positions, atoms, widths[name], dtype=dtype) for name in names]
    by_positions = empty_beside(positions, atoms, 3) if _upstream(rows) else (None, 0)
    engine = _engine_of(model, (dtype, positions.index, "GPU"), lambda: _make_on_gpu(model, dtype, positions.index))
    engine.compute(
        layer,
        atoms,
        read.address,
        cell,
        [rows[name].address for name in _ROWS],
        [rows[name].address for name in _upstream(rows)],
        [address for _, address in (*room, by_positions)],
        positions.stream,
    )
    features, ev, *by_rows = (array for array, _ in room)
    return features, ev, by_rows, by_positions[0], None


def _make_on_gpu(model: Model, dtype: str, index: int):
    return (_engine.DeviceAttentionSingle if dtype == "float32" else _engine.DeviceAttentionDouble)(model, index)


def _upstream(rows: dict) -> tuple[str, ...]:
    """Both gradients if any is given."""
    names = ("features_gradient", "ev_gradient")
    return names if any(name in rows for name in names) else ()


def _dtype(dtypes: dict[str, np.dtype]) -> np.dtype:
    if len(set(dtypes.values())) > 1 or dtypes["query_x"] not in (np.float32, np.float64):
        found = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise ValueError(f"q, k, v and ev must all be float64 or all be float32, not {found}")
    return dtypes["query_x"]


# Engines keep weights and work space; they go with their model.
_engines: weakref.WeakKeyDictionary[Model, dict] = weakref.WeakKeyDictionary()


def _engine_of(model: Model, key: tuple, make):
    kept = _engines.setdefault(model, {})
    key = (*key, os.getpid())  # neither threads nor a GPU survive fork()
    if key not in kept:
        kept[key] = make()
    return kept[key]
