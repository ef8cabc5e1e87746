"""The engine's own reader of model files: the same verdicts as the Python one's."""

import json
import random

import numpy as np
import pytest
from hostile_files import good_file, hostile_files
from random_models import VARIATIONS, hyperparameters
from random_tensors import random_tensors

from openmm_so3krates import _engine, models
from openmm_so3krates.hyperparameters import ModelError
from openmm_so3krates.model_file import parse_model_file, sha256_of, write_model_file

Model = _engine.Model


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return good_file(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("variation", VARIATIONS)
def test_every_kind_of_model_is_read(tmp_path, variation):
    hyper = hyperparameters(**VARIATIONS[variation])
    path = tmp_path / "model.safetensors"
    for dtype in (np.float32, np.float64):
        write_model_file(path, hyper, random_tensors(hyper, dtype=dtype), {"source": "naïve \U0001f40d test"})
        model = Model.load(str(path))
        assert model.sha256 == sha256_of(path)
        assert model.metadata["format"] == "openmm-so3krates"
        assert json.loads(model.metadata["provenance"]) == {"source": "naïve \U0001f40d test"}
        assert model.metadata["hyperparameters"] == hyper.to_json()


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_sha256_of_any_length(tmp_path, length):
    """Lengths around the block boundaries of the hash."""
    hyper = hyperparameters()
    write_model_file(tmp_path / "m.safetensors", hyper, random_tensors(hyper), {"padding": "x" * length})
    assert Model.load(str(tmp_path / "m.safetensors")).sha256 == sha256_of(tmp_path / "m.safetensors")


def test_hostile_files_are_refused(good):
    for name, (content, expected) in hostile_files(good).items():
        with pytest.raises(ModelError, match=expected):
            pytest.fail(f"{name!r} was accepted: {Model.from_bytes(content, 'hostile')}", pytrace=False)


def test_both_readers_agree_on_damaged_files(good):
    random.seed(5)
    refused = 0
    for _ in range(1000):
        changed = bytearray(good)
        for _ in range(random.randint(1, 3)):
            changed[random.randrange(12_000)] = random.randrange(256)
        try:
            parse_model_file(bytes(changed))
        except ModelError:
            refused += 1
            with pytest.raises(ModelError):
                Model.from_bytes(bytes(changed), "damaged")
        else:
            Model.from_bytes(bytes(changed), "damaged")
    assert 100 < refused <= 1000


def test_names_lead_to_the_same_folder(monkeypatch):
    for name in ("SO3KRATES_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("HOME", ""), ("HOME", "/home/ada"), ("XDG_CACHE_HOME", "/x"), ("SO3KRATES_HOME", "/y")):
        monkeypatch.setenv(name, value)
        assert Model.resolve("so3lr") == str(models.cache_folder() / "so3lr.safetensors")
    assert Model.resolve("a/so3lr") == "a/so3lr"
    assert Model.resolve("so3lr.safetensors") == "so3lr.safetensors"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "no model named"),
        ("nosuch", "so3krates install nosuch"),
        ("./nosuch.safetensors", "No such file"),
        ("./", "not a file"),
    ],
)
def test_missing_files(monkeypatch, tmp_path, name, message):
    monkeypatch.setenv("SO3KRATES_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=message):
        Model.load(name)
