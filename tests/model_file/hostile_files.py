"""Model files as an attacker or a bad disk would leave them, with what the message must say."""

import json
import struct

from openmm_so3krates.hyperparameters import Hyperparameters
from openmm_so3krates.model_file import write_model_file

from random_tensors import random_tensors, small_hyperparameters  # isort: skip


def good_file(folder) -> bytes:
    """A small sound model file."""
    hyperparameters: Hyperparameters = small_hyperparameters()
    write_model_file(folder / "good.safetensors", hyperparameters, random_tensors(hyperparameters), {"source": "test"})
    return (folder / "good.safetensors").read_bytes()


def split(data: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(header: dict | str | bytes, numbers: bytes) -> bytes:
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def hostile_files(good: bytes) -> dict[str, tuple[bytes, str]]:
    """Name -> (content, regular expression the message must match)."""
    files: dict[str, tuple[bytes, str]] = {}

    def change(name, expected, edit, numbers=None):
        header, data = split(good)
        edit(header)
        files[name] = (join(header, data if numbers is None else numbers(data)), expected)

    def metadata(name, expected, **changes):
        change(name, expected, lambda header: header["__metadata__"].update(changes))

    def hyper(name, expected, **changes):
        def edit(header):
            values = json.loads(header["__metadata__"]["hyperparameters"])
            values.update(changes)
            header["__metadata__"]["hyperparameters"] = json.dumps(values)

        change(name, expected, edit)

    def tensor(name, expected, tensor_name, **changes):
        change(name, expected, lambda header: header[tensor_name].update(changes))

    header, data = split(good)
    text = json.dumps(header)
    shifts = header["energy.shifts"]["data_offsets"]
    files["empty"] = (b"", "too short")
    files["seven bytes"] = (good[:7], "too short")
    files["cut in the header"] = (good[:100], "ends within its header")
    files["cut in the numbers"] = (good[:-1], "damaged or truncated")
    files["a byte too many"] = (good + b"\0", "damaged or truncated")
    files["huge header length"] = (b"\xff" * 8 + good[8:], "not a safetensors file")
    files["header length beyond the end"] = (struct.pack("<Q", len(good)) + good[8:], "ends within its header")
    files["header not JSON"] = (join("{" + text, data), "JSON")
    files["text after the header"] = (join(text + "x", data), "JSON")
    files["header a list"] = (join("[]", data), "not a JSON object")
    files["header not UTF-8"] = (join(text.encode().replace(b"energy.shifts", b"energy.shift\xff"), data), "JSON")
    files["deep JSON"] = (join("[" * 200_000, data), "JSON|nested")
    files["deep JSON in a value"] = (join(text[:-1] + ', "x": ' + "[" * 5000 + "]" * 5000 + "}", data), ".")
    files["a name twice"] = (join(text[:-1] + ', "energy.shifts": {}}', data), "twice")
    files["metadata twice"] = (join(text[:-1] + ', "__metadata__": {}}', data), "twice")

    change("no metadata", "not a model of", lambda header: header.pop("__metadata__"))
    metadata("other format", "not a model of", format="pt")
    metadata("other version", "format version '2'", format_version="2")
    metadata("metadata not text", "not all strings", note=5)
    metadata("hyperparameters not JSON", "hyperparameters", hyperparameters="{")
    metadata("hyperparameters a list", "hyperparameters", hyperparameters="[]")
    metadata("hyperparameters missing", "hyperparameters", hyperparameters="{}")
    metadata("deep hyperparameters", "hyperparameters", hyperparameters="[" * 200_000)
    metadata("provenance not JSON", "provenance", provenance="x")
    hyper("unknown hyperparameter", "unknown: surprise", surprise=1)
    hyper("feature count not whole", "num_features", num_features=12.5)
    hyper("feature count huge", "num_features", num_features=10**30)
    hyper("negative cutoff", "cutoff", cutoff=-1)
    hyper("cutoff is text", "cutoff", cutoff="4.5")
    hyper("unknown activation", "activation", activation="system")
    hyper("flag is a number", "zbl", zbl=1)
    hyper("degrees fall", "degrees", degrees=[3, 1])
    hyper("no elements", "elements", elements=[])
    hyper("heads do not divide", "divisible", num_heads=5)
    hyper("more layers than tensors", "missing", num_layers=3)

    change("a tensor missing", "missing: energy.shifts|fill|damaged", lambda header: header.pop("energy.shifts"))
    change(
        "an unknown tensor",
        "unknown: .?backdoor",
        lambda header: header.update(backdoor={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
    )
    tensor("wrong type", "type|damaged", "energy.shifts", dtype="I32")
    tensor("half precision", "type|damaged", "energy.shifts", dtype="F16")
    tensor("unknown type", "type|damaged", "energy.shifts", dtype="X")
    tensor("wrong shape", "shape|damaged", "energy.shifts", shape=[3, 3])
    tensor("negative shape", "shape|damaged", "energy.shifts", shape=[-9])
    tensor("shape overflows", "shape|damaged", "energy.out.weight", shape=[2**40, 2**40])
    tensor("shape not a list", "shape|damaged", "energy.shifts", shape=9)
    tensor("offsets beyond the end", "damaged", "energy.shifts", data_offsets=[shifts[0], 10**12])
    tensor("offsets negative", "damaged|data_offsets", "energy.shifts", data_offsets=[-4, 32])
    tensor("offsets backwards", "damaged", "energy.shifts", data_offsets=shifts[::-1])
    tensor("offsets overlap", "damaged", "energy.shifts", data_offsets=header["energy.scales"]["data_offsets"])
    tensor("offsets not numbers", "damaged|data_offsets", "energy.shifts", data_offsets=["a", "b"])
    tensor("one offset", "damaged|data_offsets", "energy.shifts", data_offsets=[0])

    for name, value in (("NaN", float("nan")), ("infinity", float("inf"))):
        changed = bytearray(data)
        struct.pack_into("<f", changed, shifts[0], value)
        files[name] = (join(header, bytes(changed)), "energy.shifts holds values that are not finite")
    changed = bytearray(data)
    start = header["dispersion.c6"]["data_offsets"][0]
    struct.pack_into("<f", changed, start + 4 * 6, 0.0)
    files["dispersion zero"] = (join(header, bytes(changed)), "dispersion.c6 must be positive")
    return files
