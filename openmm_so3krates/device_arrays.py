"""Arrays on a GPU, of torch or CuPy: where they are, the stream they are made on, and room for results beside them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

_DLPACK_HOST = (1, 3)  # kDLCPU and kDLCUDAHost, page-locked


def is_on_gpu(value: Any) -> bool:
    """Whether this is an array in a GPU's memory, of any library."""
    device = getattr(value, "__dlpack_device__", None)
    if device is not None:  # asked first: of a tensor that requires a gradient torch denies the other interface
        return device()[0] not in _DLPACK_HOST
    return hasattr(value, "__cuda_array_interface__")


@dataclass(frozen=True)
class DeviceArray:
    """An array of numbers on a GPU, as its library describes it."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # bytes
    dtype: str  # "float32" or "float64"
    stream: int  # the caller's CUstream
    library: Any  # of `libraries`
    array: Any  # keeps the memory alive

    @property
    def index(self) -> int:
        """Number of the GPU."""
        return self.library.index(self.array)


class _Torch:
    """torch's tensors say nothing of streams: work is on the current one of their GPU."""

    def view(self, array):
        return array.detach()

    def index(self, array) -> int:
        return array.device.index

    def contiguous(self, array, dtype: str):
        import torch

        return array.detach().to(getattr(torch, dtype)).contiguous()

    def stream(self, array) -> int:
        import torch

        return torch.cuda.current_stream(array.device).cuda_stream

    def empty(self, array, shape: tuple[int, ...], dtype: str):
        import torch

        return torch.empty(shape, dtype=getattr(torch, dtype), device=array.device)


class _CuPy:
    def view(self, array):
        return array

    def index(self, array) -> int:
        return array.device.id

    def contiguous(self, array, dtype: str):
        import cupy

        with array.device:
            return cupy.ascontiguousarray(array, dtype=dtype)

    def stream(self, array) -> int:
        import cupy

        with array.device:
            return cupy.cuda.get_current_stream().ptr

    def empty(self, array, shape: tuple[int, ...], dtype: str):
        import cupy

        with array.device:
            return cupy.empty(shape, dtype=dtype)


libraries: dict[str, Any] = {"torch": _Torch(), "cupy": _CuPy()}


def device_array(value: Any, name: str) -> DeviceArray:
    """Reads an array on a GPU without touching its memory.

    Raises ValueError: another library's, not float32 or float64, with a mask.
    """
    module = type(value).__module__.partition(".")[0]
    library = libraries.get(module)
    if library is None:
        raise ValueError(
            f"{name} is an array of {module} on a GPU; give a torch tensor or a CuPy array: "
            f"torch.from_dlpack({name}) and cupy.from_dlpack({name}) are views of the same memory"
        )
    array = library.view(value)
    interface = array.__cuda_array_interface__
    kind, size = interface["typestr"][1], int(interface["typestr"][2:])
    big_endian = interface["typestr"][0] == ("<" if sys.byteorder == "big" else ">")
    if kind != "f" or size not in (4, 8) or big_endian:
        raise ValueError(f"{name} must be float32 or float64, not {interface['typestr']}")
    if interface.get("mask") is not None:
        raise ValueError(f"{name} is a masked array; give an array without a mask")
    shape = tuple(interface["shape"])
    strides = interface.get("strides")
    if strides is None:  # contiguous
        strides = tuple(size * _product(shape[k + 1 :]) for k in range(len(shape)))
    # Version 3 may name a stream: 1 and 2 are CUDA's handles of the two default streams, None asks for no order.
    stream = interface.get("stream")
    if stream is None:
        stream = library.stream(array)
    return DeviceArray(
        int(interface["data"][0]), shape, tuple(strides), f"float{8 * size}", int(stream), library, array
    )


def empty_beside(array: DeviceArray, *shape: int, dtype: str = "float64") -> tuple[Any, int]:
    """A new array of the same library on the same GPU, and its address. Contents undefined."""
    result = array.library.empty(array.array, shape, dtype)
    return result, int(result.__cuda_array_interface__["data"][0])


def contiguous(array: DeviceArray, dtype: str) -> DeviceArray:
    """The same numbers in C order and this precision; the array itself if it is so already."""
    return device_array(array.library.contiguous(array.array, dtype), "an array")


def _product(numbers: tuple[int, ...]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product
