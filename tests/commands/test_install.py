"""Installing by name: from the index, from a file, what goes wrong, and several at once."""

import hashlib
import subprocess
import sys
import zipfile

import pytest

from openmm_so3krates import models
from openmm_so3krates.hyperparameters import ModelError
from openmm_so3krates.model_file import read_model_file, read_provenance, sha256_of

MODEL = models.PUBLISHED["so3lr"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SO3KRATES_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_cache_folder(monkeypatch, tmp_path):
    for name in ("SO3KRATES_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    assert str(models.cache_folder()) == "/home/ada/.cache/openmm-so3krates"
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch")
    assert str(models.cache_folder()) == "/scratch/openmm-so3krates"
    monkeypatch.setenv("SO3KRATES_HOME", str(tmp_path))
    assert models.cache_folder() == tmp_path
    for name in ("SO3KRATES_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, "")
    assert models.cache_folder().is_absolute()


def test_names_and_paths(home):
    home.mkdir()
    (home / "mine.safetensors").write_bytes(b"")
    assert models.resolve("mine") == home / "mine.safetensors"
    assert models.resolve(str(home / "mine.safetensors")) == home / "mine.safetensors"
    assert models.installed() == ["mine"]
    with pytest.raises(ModelError, match="so3krates install other"):
        models.resolve("other")


def test_from_a_wheel_and_from_its_checkpoint(home, so3lr_wheel, so3lr, tmp_path):
    lines = []
    path = models.install("so3lr", source=so3lr_wheel, report=lines.append)
    assert path == home / "so3lr.safetensors" and lines == [f"installed {path}"]
    # The same file whichever way and wherever it is made: its hash identifies the model.
    assert sha256_of(path) == sha256_of(so3lr)
    with zipfile.ZipFile(so3lr_wheel) as wheel:
        checkpoint = tmp_path / "renamed"
        checkpoint.write_bytes(wheel.read(MODEL.member))
    models.install("so3lr", source=checkpoint, force=True)
    assert sha256_of(path) == sha256_of(so3lr)
    provenance = read_provenance(read_model_file(path)[2])
    assert provenance["sha256"] == MODEL.member_sha256
    assert "MIT" in provenance["license"] and "jacs.5c09558" in provenance["citation"]


def test_what_is_there_is_kept(home, so3lr_wheel):
    path = models.install("so3lr", source=so3lr_wheel)
    time = path.stat().st_mtime_ns
    lines = []
    models.install("so3lr", report=lines.append)  # no source: would have to download
    assert path.stat().st_mtime_ns == time and "already" in lines[0]
    path.write_bytes(path.read_bytes()[:1000])
    lines.clear()
    models.install("so3lr", source=so3lr_wheel, report=lines.append)
    assert "damaged" in lines[0]
    read_model_file(path)


def test_wrong_hash_is_refused(home, so3lr_wheel, tmp_path, monkeypatch):
    other = tmp_path / "other.whl"
    other.write_bytes(so3lr_wheel.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"other\.whl .* has SHA-256 .* not the published file"):
        models.install("so3lr", source=other)

    def pip_that_brings_something_else(_, command):
        folder = command[command.index("--dest") + 1]
        (models.Path(folder) / MODEL.wheel).write_bytes(b"something else")

    monkeypatch.setattr(models, "_run_pip", pip_that_brings_something_else)
    with pytest.raises(ModelError, match=hashlib.sha256(b"something else").hexdigest()):
        models.install("so3lr")
    monkeypatch.setattr(models, "_run_pip", lambda *_: None)
    with pytest.raises(ModelError, match="something else than"):
        models.install("so3lr")
    assert not home.exists()


def test_index_out_of_reach(home, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    with pytest.raises(ModelError, match=r"pip could not download so3krates-torch 0\.2\.1.*--from FILE"):
        models.install("so3lr")
    assert not home.exists()


def test_no_pip(home, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{python}: No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelError, match=r"has no pip.*--from FILE"):
        models.install("so3lr")


def test_unknown_name_and_missing_source(home, tmp_path):
    with pytest.raises(ModelError, match="known: so3lr"):
        models.install("so4lr")
    with pytest.raises(ModelError, match="No such file"):
        models.install("so3lr", source=tmp_path / "missing.whl")


def test_installs_at_the_same_time(home, so3lr_wheel, so3lr):
    script = "import sys; from openmm_so3krates import models; models.install('so3lr', force=True, source=sys.argv[1])"
    command = [sys.executable, "-c", script, str(so3lr_wheel)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    assert [path.name for path in home.iterdir()] == ["so3lr.safetensors"]
    assert sha256_of(home / "so3lr.safetensors") == sha256_of(so3lr)
