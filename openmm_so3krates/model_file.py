"""Model files: reading, checking, writing. The format is described in `docs/model_file.md`.

The container is safetensors (https://github.com/huggingface/safetensors): eight bytes with the length of a
JSON header, the header, the numbers. Reading uses that library after our own look at the header; writing is
done here, because the library leaves the order of the metadata to chance and the same model must give the
same file, byte by byte: its SHA-256 identifies it.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping

import numpy as np

from .atomic_file import write_atomically
from .hyperparameters import Hyperparameters, ModelError
from .models import resolve

FORMAT = "openmm-so3krates"
FORMAT_VERSION = "1"
MAX_FILE_BYTES = 4 << 30
MAX_HEADER_BYTES = 16 << 20
MAX_ROWS = 119

_DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


def expected_tensors(hyperparameters: Hyperparameters) -> dict[str, tuple[int | None, ...]]:
    """Name and shape of each tensor of a model; None stands for the rows of an element table.

    Rows are atomic numbers: between max(elements)+1 and 119 of them.
    """
    hp = hyperparameters
    features, degrees, radial, spherical = hp.num_features, hp.num_degrees, hp.num_radial_basis, hp.num_spherical_hidden
    shapes: dict[str, tuple[int | None, ...]] = {"embedding.element.weight": (None, features)}

    def dense(name: str, num_out: int, num_in: int) -> None:
        shapes[f"{name}.weight"] = (num_out, num_in)
        shapes[f"{name}.bias"] = (num_out,)

    for kind, used in (("charge", hp.use_charge_embedding), ("spin", hp.use_spin_embedding)):
        if used:
            shapes[f"embedding.{kind}.query.weight"] = (None, features)
            shapes[f"embedding.{kind}.key.weight"] = (2, features)
            shapes[f"embedding.{kind}.value.weight"] = (2, features)
            shapes[f"embedding.{kind}.residual.0.weight"] = (features, features)
            shapes[f"embedding.{kind}.residual.1.weight"] = (features, features)
    if hp.radial_basis == "gaussian":
        shapes["radial_basis.centers"] = (radial,)
        shapes["radial_basis.widths"] = (radial,)
    for index in range(hp.num_layers):
        layer = f"layers.{index}"
        for filter_net in ("filter_x", "filter_ev"):
            name = f"{layer}.attention.{filter_net}"
            dense(f"{name}.radial.0", features, radial)
            dense(f"{name}.radial.1", features, features)
            if hp.use_spherical_filter:
                dense(f"{name}.spherical.0", spherical, degrees)
                dense(f"{name}.spherical.1", features, spherical)
        for part, blocks, names in (
            ("x", hp.num_heads, ("query", "key", "value")),
            ("ev", degrees, ("query", "key")),
        ):
            for name in names:
                shapes[f"{layer}.attention.{name}_{part}"] = (blocks, features // blocks, features // blocks)
        for number, norm, mlp in ((1, hp.layer_norm_1, hp.residual_mlp_1), (2, hp.layer_norm_2, hp.residual_mlp_2)):
            if norm:
                shapes[f"{layer}.norm_{number}.weight"] = (features,)
                shapes[f"{layer}.norm_{number}.bias"] = (features,)
            if mlp:
                dense(f"{layer}.mlp_{number}.0", features, features)
                dense(f"{layer}.mlp_{number}.1", features, features)
        dense(f"{layer}.exchange", features + degrees, features + degrees)
    if hp.energy_hidden is not None:
        dense("energy.hidden", hp.energy_hidden, features)
    dense("energy.out", 1, features if hp.energy_hidden is None else hp.energy_hidden)
    shapes["energy.scales"] = (None,)
    shapes["energy.shifts"] = (None,)
    if hp.partial_charges:
        dense("charges.hidden", features, features)
        dense("charges.out", 1, features)
        shapes["charges.element"] = (None,)
    if hp.hirshfeld_ratios:
        half = features // 2
        dense("hirshfeld.hidden", half, features)
        dense("hirshfeld.out", half, half)
        shapes["hirshfeld.element_shift"] = (None,)
        shapes["hirshfeld.element_query"] = (None, half)
    if hp.zbl:
        shapes.update({"zbl.a": (4,), "zbl.c": (4,), "zbl.p": (1,), "zbl.d": (1,)})
    if hp.dispersion:
        shapes["dispersion.polarizability"] = (None,)
        shapes["dispersion.c6"] = (None,)
    return shapes


def check_tensors(hyperparameters: Hyperparameters, tensors: Mapping[str, np.ndarray]) -> None:
    """Raises `ModelError` unless `tensors` are what `hyperparameters` ask for: names, shapes, types and values."""
    expected = expected_tensors(hyperparameters)
    missing = sorted(set(expected) - set(tensors))
    unknown = sorted(set(tensors) - set(expected))
    if missing or unknown:
        raise ModelError(
            "the model's tensors do not fit its hyperparameters"
            + (f"; missing: {_some(missing)}" if missing else "")
            + (f"; unknown: {_some(unknown)}" if unknown else "")
        )
    for name, shape in expected.items():
        tensor = tensors[name]
        if tensor.dtype not in (np.float32, np.float64):
            raise ModelError(f"tensor {name} has type {tensor.dtype}; float32 and float64 are possible")
        min_rows = hyperparameters.max_atomic_number + 1
        if len(tensor.shape) != len(shape) or any(
            want is not None and want != got for want, got in zip(shape, tensor.shape, strict=True)
        ):
            wanted = ", ".join("rows" if size is None else str(size) for size in shape)
            raise ModelError(f"tensor {name} has shape {list(tensor.shape)}, expected [{wanted}]")
        if shape[0] is None and not min_rows <= tensor.shape[0] <= MAX_ROWS:
            raise ModelError(
                f"tensor {name} has {tensor.shape[0]} rows; one per atomic number, "
                f"from {min_rows} to {MAX_ROWS}, is needed"
            )
        if not np.isfinite(tensor).all():
            raise ModelError(f"tensor {name} holds values that are not finite numbers")
    if hyperparameters.radial_basis == "gaussian" and not (tensors["radial_basis.widths"] != 0).all():
        raise ModelError("tensor radial_basis.widths holds a zero")
    if hyperparameters.dispersion:
        for name in ("dispersion.polarizability", "dispersion.c6"):
            if not (tensors[name][list(hyperparameters.elements)] > 0).all():
                raise ModelError(f"tensor {name} must be positive for each of the model's elements")


def read_model_file(
    model: str | os.PathLike,
) -> tuple[Hyperparameters, dict[str, np.ndarray], dict[str, str]]:
    """The hyperparameters, tensors and header strings (`format`, `provenance`, ...) of a model file.

    `model` is a path or the name of an installed model (`models.resolve`). Tensors keep their type (float32 or
    float64); names and shapes are those of `expected_tensors`.

    Raises `ModelError` if the file is missing, damaged or hostile, of another format or format version, or
    its content does not fit together.
    """
    path = resolve(model)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"{path} is larger than any model file may be ({MAX_FILE_BYTES >> 30} GiB)")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model file {path}: {os.strerror(error.errno or 0)}") from None
    try:
        return parse_model_file(data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def parse_model_file(data: bytes) -> tuple[Hyperparameters, dict[str, np.ndarray], dict[str, str]]:
    """`read_model_file` for the bytes of a model file."""
    header = _read_header(data)
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ModelError("this is a safetensors file but not a model of openmm-so3krates")
    if metadata.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"model file format version {metadata.get('format_version')!r}; this version of openmm-so3krates reads "
            f"version {FORMAT_VERSION}"
        )
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ModelError("the metadata of the model file are not all strings")
    hyperparameters = Hyperparameters.from_json(metadata.get("hyperparameters", ""))
    read_provenance(metadata)
    tensors = {}
    for name, entry in _read_entries(data):
        if entry["dtype"] not in _DTYPES:
            raise ModelError(f"tensor {name} has type {entry['dtype']}; F32 and F64 are possible")
        tensors[name] = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"]).copy()
    check_tensors(hyperparameters, tensors)
    return hyperparameters, tensors, metadata


def read_provenance(metadata: Mapping[str, str]) -> dict:
    """The `provenance` of a model file's header strings: where the weights come from."""
    try:
        provenance = json.loads(metadata.get("provenance", ""))
    except (ValueError, RecursionError):
        provenance = None
    if not isinstance(provenance, dict):
        raise ModelError("the provenance in the model file is not a JSON object")
    return provenance


def write_model_file(
    path: str | os.PathLike,
    hyperparameters: Hyperparameters,
    tensors: Mapping[str, np.ndarray],
    provenance: Mapping[str, object],
) -> None:
    """Writes a model file, checked, in full or not at all; the same content gives the same bytes.

    Raises `ModelError` if `tensors` (float32 or float64) do not fit `hyperparameters`, and `OSError` naming the
    file and the reason if it cannot be written.
    """
    check_tensors(hyperparameters, tensors)
    arrays = {
        name: np.ascontiguousarray(tensors[name], _DTYPES["F64" if tensors[name].dtype == np.float64 else "F32"])
        # Wider types first: then each tensor starts at a multiple of its own width.
        for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    }
    header: dict[str, object] = {
        "__metadata__": {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "hyperparameters": hyperparameters.to_json(),
            "provenance": json.dumps(provenance, sort_keys=True),
        }
    }
    offset = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": "F64" if array.itemsize == 8 else "F32",
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)

    def chunks() -> Iterator[bytes]:
        yield struct.pack("<Q", len(text))
        yield text
        for array in arrays.values():
            yield array.tobytes()

    write_atomically(path, chunks())


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, lower-case hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _read_header(data: bytes) -> dict:
    if len(data) < 8:
        raise ModelError("the file is too short to be a model file")
    (length,) = struct.unpack_from("<Q", data)
    if length > MAX_HEADER_BYTES:
        raise ModelError("this is not a safetensors file (its header would be larger than any model's)")
    if 8 + length > len(data):
        raise ModelError("the file ends within its header: it is truncated or not a safetensors file")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"), object_pairs_hook=_unique_keys)
    except ModelError:
        raise
    except (ValueError, RecursionError):
        raise ModelError("the header is not valid JSON: the file is damaged or not a safetensors file") from None
    if not isinstance(header, dict):
        raise ModelError("the header is not a JSON object: the file is damaged")
    return header


def _read_entries(data: bytes) -> list[tuple[str, dict]]:
    import safetensors

    try:
        return safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise ModelError(f"the file is damaged or truncated ({error})") from None


def _unique_keys(pairs: list[tuple[str, object]]) -> dict:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ModelError("the header names something twice")
    return result


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
