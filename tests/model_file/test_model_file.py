"""Model files: what goes in comes out, byte for byte the same each time, and nothing else gets in."""

import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from hostile_files import good_file, hostile_files
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import VARIATIONS, hyperparameters, random_model
from random_tensors import random_tensors, small_hyperparameters

from openmm_so3krates.hyperparameters import ModelError
from openmm_so3krates.model_file import (
    expected_tensors,
    parse_model_file,
    read_model_file,
    read_provenance,
    sha256_of,
    write_model_file,
)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return good_file(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip(tmp_path, dtype):
    hyper = small_hyperparameters(radial_basis="gaussian", lr_cutoff=None)
    tensors = random_tensors(hyper, dtype=dtype)
    path = tmp_path / "new folder" / "model.safetensors"
    write_model_file(path, hyper, tensors, {"source": "naïve test", "sha256": "00"})
    read_hyper, read_tensors, metadata = read_model_file(path)
    assert read_hyper == hyper
    assert read_provenance(metadata) == {"source": "naïve test", "sha256": "00"}
    assert read_tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read_tensors[name].dtype == dtype
        np.testing.assert_array_equal(read_tensors[name], tensor)
    assert os.listdir(path.parent) == ["model.safetensors"]


def test_any_safetensors_reader_reads_it(tmp_path):
    hyper = small_hyperparameters()
    tensors = random_tensors(hyper)
    tensors["energy.shifts"] = tensors["energy.shifts"].astype(np.float64)  # widths may be mixed
    write_model_file(tmp_path / "m.safetensors", hyper, tensors, {})
    loaded = safetensors.numpy.load_file(tmp_path / "m.safetensors")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(loaded[name], tensor)


def test_same_content_same_bytes(tmp_path):
    hyper = small_hyperparameters()
    tensors = random_tensors(hyper)
    write_model_file(tmp_path / "a.safetensors", hyper, tensors, {"source": "x", "license": "y"})
    backwards = dict(reversed(tensors.items()))
    # Memory order does not matter either.
    backwards = {name: np.asfortranarray(tensor) for name, tensor in backwards.items()}
    write_model_file(tmp_path / "b.safetensors", hyper, backwards, {"license": "y", "source": "x"})
    assert sha256_of(tmp_path / "a.safetensors") == sha256_of(tmp_path / "b.safetensors")


@pytest.mark.parametrize("variation", VARIATIONS)
def test_expected_tensors_are_those_of_the_pytorch_model(variation):
    """The two lists of names and shapes were written independently."""
    hyper = hyperparameters(**VARIATIONS[variation])
    expected = expected_tensors(hyper)
    state = {name: tuple(tensor.shape) for name, tensor in random_model(hyper).state_dict().items()}
    assert state.keys() == expected.keys()
    for name, shape in expected.items():
        if shape[0] is None:
            assert hyper.max_atomic_number < state[name][0] <= 119
            assert state[name][1:] == shape[1:], name
        else:
            assert state[name] == shape, name


def test_hostile_files_are_refused(good, tmp_path):
    parse_model_file(good)  # the starting point is sound
    files = hostile_files(good)
    assert len(files) > 40
    for name, (content, expected) in files.items():
        path = tmp_path / "hostile.safetensors"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=expected):
            pytest.fail(f"{name!r} was accepted: {read_model_file(path)[0]}", pytrace=False)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_files_are_refused_or_harmless(good, data):
    """Whatever bytes of the header change: a clear refusal or a model that passes all checks, nothing else."""
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, 4000))] = data.draw(st.integers(0, 255))
    try:
        hyper, tensors, _ = parse_model_file(bytes(changed))
    except ModelError:
        return
    assert tensors.keys() == expected_tensors(hyper).keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy.shifts": np.zeros((9, 1), np.float32)}, "shape"),
        ({"energy.shifts": np.zeros(8, np.float32)}, "8 rows"),
        ({"energy.shifts": np.zeros(120, np.float32)}, "120 rows"),
        ({"energy.shifts": np.zeros(9, np.int64)}, "int64"),
        ({"energy.shifts": np.full(9, np.nan, np.float32)}, "not finite"),
        ({"more": np.zeros(1, np.float32)}, "unknown: more"),
    ],
)
def test_writing_checks(tmp_path, change, message):
    hyper = small_hyperparameters()
    with pytest.raises(ModelError, match=message):
        write_model_file(tmp_path / "m.safetensors", hyper, {**random_tensors(hyper), **change}, {})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "no model named"), ("nosuch", "so3krates install nosuch"), ("./nosuch.safetensors", "no model file")],
)
def test_missing_files(name, message, tmp_path, monkeypatch):
    monkeypatch.setenv("SO3KRATES_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=message):
        read_model_file(name)


def test_a_folder_is_no_model_file(tmp_path):
    with pytest.raises(ModelError, match="directory"):
        read_model_file(f"{tmp_path}/")


def test_full_disk(tmp_path, monkeypatch):
    hyper = small_hyperparameters()
    path = tmp_path / "m.safetensors"
    write_model_file(path, hyper, random_tensors(hyper), {"source": "old"})
    before = path.read_bytes()

    def no_space(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match=r"cannot write .*m\.safetensors: No space left on device") as caught:
        write_model_file(path, hyper, random_tensors(hyper), {"source": "new"})
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == ["m.safetensors"]
    assert path.read_bytes() == before


def test_write_that_really_fails(tmp_path):
    """A limit on the file size makes the kernel refuse the write half-way, as a full disk does."""
    script = (
        "import signal, sys; sys.path.insert(0, sys.argv[2])\n"
        "from random_tensors import *; from openmm_so3krates.model_file import write_model_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "hyper = small_hyperparameters()\n"
        "write_model_file(sys.argv[1], hyper, random_tensors(hyper), {})\n"
    )
    here = os.path.dirname(os.path.dirname(__file__))
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "m.safetensors"), here],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert "cannot write" in result.stderr and "File too large" in result.stderr
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    hyper = small_hyperparameters()
    with pytest.raises(OSError, match="cannot write"):
        write_model_file(tmp_path / "file" / "m.safetensors", hyper, random_tensors(hyper), {})
