"""Pretended GPU arrays: host memory that the emulated device has been told is its own, and their library."""

from __future__ import annotations

import numpy as np

from openmm_so3krates import device_arrays


class FakeArray:
    """An array on the "GPU", with what `__cuda_array_interface__` (version 3) says of it."""

    def __init__(self, values: np.ndarray, device, stream: int | None = 7, **changes):
        self.values, self.device = values, device
        base = values if values.base is None else values.base
        device.adopt(base.ctypes.data, base.nbytes)
        self.__cuda_array_interface__ = {
            "shape": values.shape,
            "typestr": values.dtype.str,
            "data": (values.ctypes.data, False),
            "strides": None if values.flags.c_contiguous else values.strides,
            "stream": stream,
            "version": 3,
            **changes,
        }

    def __setitem__(self, key, values):
        self.values[key] = values

    def __array__(self, *args, **kwargs):
        raise AssertionError("the array was copied to the host")


class FakeLibrary:
    """As the entries of `device_arrays.libraries`."""

    current_stream = 11

    def view(self, array):
        return array

    def stream(self, array) -> int:
        return self.current_stream

    def index(self, array) -> int:
        return 0

    def contiguous(self, array, dtype):
        return FakeArray(np.ascontiguousarray(array.values, dtype), array.device)

    def empty(self, array, shape, dtype):
        return FakeArray(np.full(shape, -1, dtype), array.device)


def install(monkeypatch) -> None:
    """Makes the library of this module known."""
    monkeypatch.setitem(device_arrays.libraries, __name__.partition(".")[0], FakeLibrary())
