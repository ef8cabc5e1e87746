"""Loading the libraries for OpenMM's GPU platforms: what cannot be loaded is told and harms nothing else."""

from types import SimpleNamespace

import pytest

import openmm_so3krates.force  # noqa: F401  loads them
from openmm_so3krates import platforms
from openmm_so3krates.commands import info


@pytest.fixture
def unloaded(monkeypatch, tmp_path):
    """As if OpenMM had all GPU platforms and none had been made known to the force; their libraries' folder."""
    monkeypatch.setattr(platforms, "_present", lambda: ["Reference", "CPU", *platforms.GPU_PLATFORMS])
    monkeypatch.setattr(platforms, "problems", {})
    handed_in = []
    fake = SimpleNamespace(
        __file__=str(tmp_path / "_openmm.so"),
        supports=lambda name: name in ("Reference", "CPU"),
        set_nvrtc_folders=handed_in.append,
    )
    monkeypatch.setattr(platforms, "_openmm", fake)
    return tmp_path


def test_missing_and_broken_libraries(unloaded, capsys):
    (unloaded / "libSO3kratesOpenMMCUDA.so").write_text("no library")
    platforms.load()
    assert list(platforms.problems) == ["CUDA", "OpenCL", "HIP"]
    assert platforms.problems["CUDA"].startswith("libSO3kratesOpenMMCUDA.so cannot be loaded: ")
    assert "reinstall it beside OpenMM's PyPI wheel" in platforms.problems["OpenCL"]
    assert platforms.supported() == ["Reference", "CPU"]
    info._show_force_platforms()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SO3kratesForce", "on", "Reference,", "CPU"]
    assert lines[1].strip().startswith("not on CUDA: libSO3kratesOpenMMCUDA.so cannot be loaded")


def test_every_platform_here_is_supported():
    platforms.load()
    assert platforms.problems == {}
    assert platforms.supported() == platforms._present()
