"""Real compilers, no GPU: every kernel compiles for every architecture, and the numbers that ptxas reports of it."""

import json
import re
import sys
from functools import cache
from pathlib import Path

import pytest
from random_tensors import random_tensors, small_hyperparameters

from openmm_so3krates import _engine
from openmm_so3krates.cuda import DeviceError
from openmm_so3krates.model_file import write_model_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import compile_kernels

# Not SO3LR in any choice.
ODD = {
    "num_features": 24,
    "num_heads": 3,
    "degrees": (0, 1, 3),
    "num_radial_basis": 6,
    "radial_basis": "bessel",
    "cutoff_function": "exponential",
    "activation": "tanh",
    "qk_activation": "softplus",
    "energy_activation": "relu",
    "energy_hidden": None,
    "partial_charges": False,
    "hirshfeld_ratios": False,
    "electrostatics": False,
    "dispersion": False,
    "use_spherical_filter": False,
}

# model, precision, architecture, major version of NVRTC
SO3LR_RUNS = [
    ("so3lr", "single", 70, 12),
    ("so3lr", "single", 80, 13),
    ("so3lr", "single", 90, 13),
    ("so3lr", "single", 90, 12),
    ("so3lr", "single", 120, 13),
    ("so3lr", "double", 70, 12),
    ("so3lr", "double", 90, 13),
]
ODD_RUNS = [
    ("odd", "single", 90, 13),
    ("odd", "double", 70, 12),
    ("odd", "double", 80, 13),
    ("odd", "double", 120, 13),
]


@pytest.fixture(scope="session")
def odd_model(tmp_path_factory):
    hyper = small_hyperparameters(**ODD)
    path = tmp_path_factory.mktemp("odd") / "odd.safetensors"
    write_model_file(path, hyper, random_tensors(hyper), {"source": "a test", "license": "CC0"})
    return path


@cache
def compilers() -> dict[int, str]:
    """Major version -> library, of the wheels in requirements/dev.txt."""
    found = {int(_engine.nvrtc_version(file).split(".")[0]): file for file in compile_kernels.find_compilers()}
    assert set(found) >= {12, 13}, "pip install -r requirements/dev.txt brings two NVRTC wheels"
    return found


@cache
def compiled(path: str, precision: str, architecture: int, major: int):
    return compile_kernels.compile_kernels(path, precision, architecture, compilers()[major])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "precision", "architecture", "major"), SO3LR_RUNS + ODD_RUNS)
def test_every_kernel_compiles(name, precision, architecture, major, so3lr, odd_model):
    model = so3lr if name == "so3lr" else odd_model
    result = compiled(str(model), precision, architecture, major)
    compile_kernels.print_table(result)
    kernels = {kernel.name: kernel for kernel in result.kernels}
    assert {"so3kTest", "so3kAttentionForward", "so3kAttentionBackward"} <= kernels.keys()
    assert all(kernel.registers > 0 for kernel in result.kernels)
    assert all(kernel.shared <= 48 << 10 for kernel in result.kernels)
    if name == "so3lr":
        spilling = [k for k in result.kernels if k.spill_stores or k.spill_loads]
        assert not [k for k in spilling if k.name.startswith(("so3kAttention", "so3kTiledAttention"))]


def test_all_kernels_in_the_sources_are_reported(odd_model):
    """The parser misses none: as many entries as extern "C" __global__ functions. In double precision the first layer's
    are left out, which only single precision launches."""
    sources = Path(__file__).resolve().parents[2] / "kernels" / "cuda" / "device"
    kernel = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s+)?(so3k\w+)\(')
    written = {name for file in sources.glob("*.cuh") for name in kernel.findall(file.read_text())}
    assert written
    assert written == {kernel.name for kernel in compiled(str(odd_model), "single", 90, 13).kernels}
    first_layer = {name for name in written if name.startswith("so3kFirstLayer")}
    assert len(first_layer) == 2
    assert written - first_layer == {kernel.name for kernel in compiled(str(odd_model), "double", 80, 13).kernels}


def test_architecture_that_the_compiler_lacks(odd_model):
    with pytest.raises(DeviceError, match=r"cannot compile the kernels for sm_70: .*\n.*gpu-architecture"):
        _engine.compile_kernels(_engine.Model.load(str(odd_model)), "single", 70, compilers()[13])
    assert not compile_kernels.compiles_for(compilers()[13], 70)
    assert compile_kernels.compiles_for(compilers()[12], 70)


LOG = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'so3kLong' for 'sm_90'
ptxas info    : Function properties for so3kLong
ptxas         .     64 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 64 bytes cumulative stack size, 4096 bytes smem
ptxas info    : Function properties for _Z5outerv
ptxas         .     8 bytes stack frame, 1 bytes spill stores, 2 bytes spill loads
ptxas info    : Compiling entry function 'so3kA' for 'sm_90'
ptxas info    : Function properties for __internal_trig_reduction_slowpathd
ptxas         .     40 bytes stack frame, 3 bytes spill stores, 4 bytes spill loads
ptxas info    : Function properties for so3kA
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers
"""


def test_log_is_read_right():
    """Numbers go to their kernel, not to a function that is called; sorted by name."""
    kernels = compile_kernels.parse_log(LOG)
    assert kernels == [
        compile_kernels.Kernel("so3kA", 12, 0, 0, 0, 0, 0),
        compile_kernels.Kernel("so3kLong", 255, 12, 16, 64, 4096, 1),
    ]
    with pytest.raises(ValueError, match="nothing on the kernel so3kA"):
        compile_kernels.parse_log(LOG.rsplit("ptxas info    : Used", 1)[0])


def test_script_prints_json(odd_model, capsys, monkeypatch):
    arguments = [str(odd_model), "--precision", "single", "--architecture", "90", "--nvrtc", compilers()[13], "--json"]
    monkeypatch.setattr(sys, "argv", ["compile_kernels.py", *arguments])
    assert compile_kernels.main() == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["architecture"], result["precision"], result["nvrtc"][:3]) == (90, "single", "13.")
    assert "so3kTest" in {kernel["name"] for kernel in result["kernels"]}
