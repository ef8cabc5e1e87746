"""NumPy arrays in pickles, rebuilt by hand for `unpickler.read_pickle`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .unpickler import Global, Node, UnpicklingError, read_pickle

# What weights can be stored as; strings, objects and records cannot.
_DTYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


@dataclass
class _Dtype(Node):
    """A dtype; its state (version, byte order, ...) follows in a BUILD instruction."""

    def numpy(self) -> np.dtype:
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "|"
        if order not in ("<", ">", "|", "="):
            raise UnpicklingError(f"byte order {order!r} of an array")
        return np.dtype(str(order) + self.args[0])


@dataclass
class _Array(Node):
    """An array; its state (version, shape, dtype, Fortran order, bytes) follows in a BUILD instruction."""

    def numpy(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise UnpicklingError("an array without content")
        _, shape, dtype, fortran, content = self.state
        return _make_array(content, dtype, shape, "F" if fortran else "C")


def _make_array(content: object, dtype: object, shape: object, order: str) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
        raise UnpicklingError("an array whose content is not plain numbers")
    if not isinstance(shape, tuple) or len(shape) > 8 or not all(type(n) is int and n >= 0 for n in shape):
        raise UnpicklingError("an array without a proper shape")
    numbers = dtype.numpy()
    if math.prod(shape) * numbers.itemsize != len(content):
        raise UnpicklingError(f"an array of shape {shape} with {len(content)} bytes")
    # A view: the same bytes may be named many times in the file.
    return np.frombuffer(content, numbers).reshape(shape, order=order)


def _dtype(code: object, *_: object) -> _Dtype:
    if code not in _DTYPES:
        raise UnpicklingError(f"an array of type {code!r}")
    return _Dtype(Global("numpy", "dtype"), (code,))


def _reconstruct(cls: object, *_: object) -> _Array:
    if cls != Global("numpy", "ndarray"):
        raise UnpicklingError(f"an array of class {cls}")
    return _Array(Global("numpy", "ndarray"))


def _from_buffer(content: object, dtype: object, shape: object, order: object) -> np.ndarray:
    if order not in ("C", "F"):
        raise UnpicklingError(f"an array in order {order!r}")
    return _make_array(content, dtype, shape, order)


def _scalar(dtype: object, content: object) -> np.ndarray:
    return _make_array(content, dtype, (), "C")


def _same_dict(content: object) -> dict:
    if not isinstance(content, dict):
        raise UnpicklingError("a FrozenDict that is not made from a dictionary")
    return content


def _jax_array(function: object, args: object, state: object, *_: object) -> _Array:
    if not isinstance(function, Global) or function.name != "_reconstruct" or not isinstance(args, tuple) or not args:
        raise UnpicklingError("a JAX array that is not made from a NumPy array")
    array = _reconstruct(args[0])
    array.state = state
    return array


_CONSTRUCTORS = {
    "numpy.dtype": _dtype,
    "flax.core.frozen_dict.FrozenDict": _same_dict,
    "jax._src.array._reconstruct_array": _jax_array,
}
# NumPy 2 renamed its core; protocol 5 uses _frombuffer.
for _core in ("numpy.core", "numpy._core"):
    _CONSTRUCTORS[f"{_core}.multiarray._reconstruct"] = _reconstruct
    _CONSTRUCTORS[f"{_core}.multiarray.scalar"] = _scalar
    _CONSTRUCTORS[f"{_core}.numeric._frombuffer"] = _from_buffer

_MAX_DEPTH = 32
_MAX_ENTRIES = 100_000


def read_array_tree(data: bytes) -> dict[str, np.ndarray]:
    """Nested dictionaries of NumPy (or JAX) arrays in a pickle, flattened: keys joined by "/".

    Nothing in the file is executed (`unpickler`). Raises `UnpicklingError` if it holds anything else.
    """
    tree = read_pickle(data, _CONSTRUCTORS, allow_global=lambda label: label == Global("numpy", "ndarray"))
    flat: dict[str, np.ndarray] = {}
    waiting: list[tuple[str, object, int]] = [("", tree, 0)]
    visited = 0
    while waiting:
        path, node, depth = waiting.pop()
        visited += 1
        # The same dictionary may be named many times in a pickle, and even contain itself.
        if depth > _MAX_DEPTH or visited > _MAX_ENTRIES:
            raise UnpicklingError("the parameters are nested too deeply or too many")
        if isinstance(node, dict):
            for key, value in node.items():
                if not isinstance(key, str):
                    raise UnpicklingError(f"the parameters have a key that is not text: {key!r}")
                waiting.append((f"{path}/{key}" if path else key, value, depth + 1))
        elif isinstance(node, _Array):
            flat[path] = node.numpy()
        elif isinstance(node, np.ndarray):
            flat[path] = node
        else:
            raise UnpicklingError(f"{path or 'the file'} holds a {type(node).__name__}, not arrays")
    return flat
