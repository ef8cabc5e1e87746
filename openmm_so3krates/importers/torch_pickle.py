"""PyTorch's zip checkpoints (torch.save of a module), read without PyTorch and without executing anything.

The archive holds one pickle, data.pkl, and one file of raw numbers per storage. Modules become inert `Node`s
(`unpickler`), tensors NumPy arrays.
"""

from __future__ import annotations

import io
import math
import zipfile

import numpy as np

from .unpickler import Global, Node, UnpicklingError, read_pickle

_MAX_STORAGE_BYTES = 1 << 30
_MAX_ENTRIES = 100_000
_MAX_DEPTH = 32

_STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "BoolStorage": np.dtype("?"),
}
# Classes and types a So3krates module may be made of; they stay names.
_INERT_PREFIXES = ("so3krates_torch.", "torch.nn.modules.")
_INERT = {"torch.float32", "torch.float64", "torch.device"} | {f"torch.{name}" for name in _STORAGES}


def _tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> np.ndarray:
    if not isinstance(storage, np.ndarray) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise UnpicklingError("a tensor that is not made from a storage")
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > 8 or not all(type(n) is int and n >= 0 for n in numbers):
        raise UnpicklingError("a tensor without a proper shape")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count > storage.size or (count > 0 and last >= storage.size):
        raise UnpicklingError(f"a tensor of shape {size} that reaches beyond its storage")
    if count == 0:
        return np.zeros(size, storage.dtype)
    bytes_per_step = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, bytes_per_step, writeable=False)


def _parameter(tensor: object, *_: object) -> np.ndarray:
    if not isinstance(tensor, np.ndarray):
        raise UnpicklingError("a parameter that is not a tensor")
    return tensor


_CONSTRUCTORS = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    # Empty in what torch.save writes for modules: items follow by SETITEMS; sets only name unsaved buffers.
    "collections.OrderedDict": lambda: {},
    "__builtin__.set": lambda *_: None,
    "builtins.set": lambda *_: None,
    "torch.device": lambda *_: None,
}


def read_torch_module(data: bytes) -> Node:
    """The module object in a PyTorch checkpoint, as a tree of `Node`s with NumPy arrays for tensors.

    Raises `UnpicklingError` (a `ModelError`) if the archive is damaged or holds anything unexpected.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_archive(archive)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, UnpicklingError):
            raise
        raise UnpicklingError(f"this is not a PyTorch checkpoint, or it is damaged ({error})") from None


def _read_archive(archive: zipfile.ZipFile) -> Node:
    pickles = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise UnpicklingError("this is not a PyTorch checkpoint: the archive has no data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.namelist() and _member(archive, f"{folder}byteorder") != b"little":
        raise UnpicklingError("the checkpoint was written on a big-endian machine")
    storages: dict[str, np.ndarray] = {}

    def storage(identity: object) -> np.ndarray:
        if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
            raise UnpicklingError("a persistent id that is not a PyTorch storage")
        _, kind, key, _, count = identity
        if not isinstance(kind, Global) or kind.name not in _STORAGES or not isinstance(key, str):
            raise UnpicklingError(f"a storage of unknown type {kind}")
        if key not in storages:
            storages[key] = np.frombuffer(_member(archive, f"{folder}data/{key}"), _STORAGES[kind.name])
        if storages[key].dtype != _STORAGES[kind.name] or storages[key].size != count:
            raise UnpicklingError(f"storage {key} has {storages[key].size} numbers, {count} were announced")
        return storages[key]

    module = read_pickle(_member(archive, pickles[0]), _CONSTRUCTORS, _is_inert, storage)
    if not isinstance(module, Node):
        raise UnpicklingError(
            "this checkpoint does not hold a whole model (torch.save(model, ...)) but something else; "
            "a state_dict alone does not tell the network's settings"
        )
    return module


def _is_inert(label: Global) -> bool:
    return str(label) in _INERT or str(label).startswith(_INERT_PREFIXES)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise UnpicklingError(f"the checkpoint lacks its member {name}") from None
    # torch.save never compresses; refusing it leaves no way to announce more bytes than are there.
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > _MAX_STORAGE_BYTES:
        raise UnpicklingError(f"member {name} of the checkpoint is compressed or too large")
    return archive.read(info)


def attributes(node: Node) -> dict:
    """The attributes of a module as it was saved."""
    if not isinstance(node.state, dict):
        raise UnpicklingError(f"the module {node.cls} has no state")
    return node.state


def arrays_by_name(module: Node) -> dict[str, np.ndarray]:
    """The module's parameters and buffers by their names in PyTorch's state_dict."""
    found: dict[str, np.ndarray] = {}
    waiting: list[tuple[str, Node, int]] = [("", module, 0)]
    visited = 0
    while waiting:
        prefix, node, depth = waiting.pop()
        visited += 1
        # A hostile file can name the same module many times, even within itself.
        if depth > _MAX_DEPTH or visited > _MAX_ENTRIES:
            raise UnpicklingError("the modules are nested too deeply or too many")
        state = attributes(node)
        for kind in ("_parameters", "_buffers"):
            for name, value in _dictionary(state, kind).items():
                if isinstance(value, np.ndarray):
                    found[f"{prefix}{name}"] = value
                elif value is not None:
                    raise UnpicklingError(f"{prefix}{name} is not a tensor")
        for name, child in _dictionary(state, "_modules").items():
            if isinstance(child, Node):
                waiting.append((f"{prefix}{name}.", child, depth + 1))
    return found


def classes_of(module: Node) -> set[str]:
    """The names of all classes in a tree that `arrays_by_name` has walked."""
    names: set[str] = set()
    waiting = [module]
    while waiting:
        node = waiting.pop()
        names.add(str(node.cls))
        waiting += [child for child in _dictionary(attributes(node), "_modules").values() if isinstance(child, Node)]
    return names


def _dictionary(state: dict, name: str) -> dict:
    value = state.get(name, {})
    if not isinstance(value, dict):
        raise UnpicklingError(f"{name} of a module is not a dictionary")
    return value
