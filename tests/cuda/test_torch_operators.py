"""The torch operators on a GPU, and in graphs that their caller records, without either: libso3krates_torch.so on a
pretended driver, which executes the kernels by the emulation, and below a pretended torch (stub_torch.cpp)."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from random_models import hyperparameters, random_box, random_model, random_molecule
from stubs import HERE, ROOT
from test_cuda_potential import ODD


def _library(folder, source, name, *flags):
    path = folder / name
    common = ["-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", f"-I{ROOT / 'kernels'}"]
    command = ["g++", *common, f"-Wl,-soname,{name}", *flags, str(HERE / f"{source}.cpp"), "-o", str(path), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def results(emulated, tmp_path_factory):
    """What torch_on_pretended_gpu.py found."""
    folder = tmp_path_factory.mktemp("pretended")
    driver = _library(folder, "stub_gpu", "libcuda.so.1")
    nvrtc = _library(folder, "stub_libnvrtc", "libnvrtc.so.13", "-DSTUB_MAJOR=13")
    libraries = [
        _library(folder, "stub_torch", "libtorch_cpu.so"),
        _library(folder, "stub_torch", "libtorch_cuda.so", "-DSTUB_CUDA"),
    ]
    model = folder / "odd.safetensors"
    random_model(hyperparameters(**ODD, zbl=True)).save(model, provenance={"source": "random numbers"})
    systems = {}
    for name, system in {
        "molecule": random_molecule(1),
        "box": random_box(2),
        "large": random_molecule(5, 60, 9.0),
    }.items():
        systems |= {f"{name}_numbers": system.atomic_numbers, f"{name}_positions": system.positions}
    np.savez(folder / "systems.npz", **systems, box_cell=random_box(2).cell)
    env = {
        **os.environ,
        "SO3KRATES_LIBCUDA": str(driver),
        "SO3KRATES_NVRTC": str(nvrtc),
        "SO3KRATES_HOME": str(folder / "home"),
        "SO3KRATES_EMULATED": emulated("odd_double").__file__,
    }
    command = [sys.executable, str(HERE / "torch_on_pretended_gpu.py"), str(driver), *map(str, libraries)]
    done = subprocess.run(
        [*command, str(model), str(folder / "systems.npz")], capture_output=True, text=True, check=False, env=env
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
    assert done.returncode == 0 and lines, done.stdout + done.stderr
    shutil.rmtree(folder, ignore_errors=True)
    return json.loads(lines[0].removeprefix("RESULTS "))


def test_values(results):
    """Eager calls and replays, also after calls that needed more memory, and after the model was forgotten."""
    tolerances = {"single": 2e-3}
    for name, error in results["errors"].items():
        assert error < tolerances.get(name, 1e-9), name


def test_the_driver_rules_are_kept(results):
    """Also while a graph is recorded: nothing is allocated, freed, uploaded, loaded or waited for."""
    assert results["first_error"] == ""


def test_a_graph_without_a_call_before_is_refused(results):
    for name in ("first call", "another system before", "a second graph without a call", "boxes on both"):
        assert "call it once outside of the graph, which takes over" in results["refused"][name], name
    assert "cell must be float32 or float64" in results["refused"]["whole numbers in the cell"]
    assert "give atomic_numbers, model and model_file on the CPU" in results["refused"]["numbers on the GPU"]


def test_a_cell_on_another_gpu_is_refused(results):
    assert "cell is on cuda:1 and the positions are on cuda:0" in results["refused"]["cell on another GPU"]


def test_atoms_at_one_place_in_a_replay(results):
    assert results["nan"] == [True] * 8  # in the replay after it, too


def test_memory_lives_as_long_as_the_graph(results):
    assert results["kept"]
    assert results["given_back"] > 20
