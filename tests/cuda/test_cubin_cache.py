"""Compiled kernels on disk, and the choice of a compiler, with a pretended driver and compiler."""

import os

import pytest
from random_tensors import random_tensors, small_hyperparameters

from openmm_so3krates import _engine, cuda
from openmm_so3krates.cuda import DeviceError
from openmm_so3krates.model_file import write_model_file


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    """model_of(**hyperparameters): a model with random weights."""
    folder = tmp_path_factory.mktemp("models")
    count = iter(range(1000))

    def make(**changes):
        hyper = small_hyperparameters(**changes)
        path = folder / f"{next(count)}.safetensors"
        write_model_file(path, hyper, random_tensors(hyper), {"source": "a test", "license": "CC0"})
        return _engine.Model.load(str(path))

    return make


@pytest.fixture(scope="module")
def model(model_of):
    return model_of()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch, driver):
    """The folder of the cache of this test."""
    monkeypatch.setenv("SO3KRATES_HOME", str(tmp_path / "home"))
    _engine.forget_compiled_kernels()
    return tmp_path / "home" / "kernels"


def kernels_from(model, precision="single") -> str:
    return _engine.CudaDevice(model, precision).kernels_from


def test_compiled_once_then_from_memory_then_from_disk(model, nvrtc, cache):
    assert kernels_from(model) == "compiler"
    assert kernels_from(model) == "memory"
    _engine.forget_compiled_kernels()
    assert kernels_from(model) == "disk"
    assert kernels_from(model) == "memory"
    assert nvrtc.compilations == 1
    assert [file.suffix for file in cache.iterdir()] == [".cubin"]  # nothing temporary is left


def test_code_from_disk_is_what_was_compiled(model, nvrtc, driver):
    kernels_from(model)
    _engine.forget_compiled_kernels()
    kernels_from(model)
    loaded = [call for call in driver.calls if call.startswith("cuModuleLoadData")]
    assert len(loaded) == 2 and loaded[0] == loaded[1] and "cubin --gpu-architecture=sm_90" in loaded[0]


DAMAGE = {
    "empty": lambda data: b"",
    "half the hash": lambda data: data[:32],
    "hash alone": lambda data: data[:64],
    "truncated": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "flipped bit in the code": lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
    "flipped bit in the hash": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "something else": lambda data: b"\x7fELF" * 100,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_entry_is_compiled_again(model, nvrtc, cache, damage):
    kernels_from(model)
    (entry,) = cache.iterdir()
    good = entry.read_bytes()
    entry.write_bytes(DAMAGE[damage](good))
    _engine.forget_compiled_kernels()
    assert kernels_from(model) == "compiler"
    assert entry.read_bytes() == good  # mended
    _engine.forget_compiled_kernels()
    assert kernels_from(model) == "disk"
    assert nvrtc.compilations == 2


def test_entry_that_is_a_folder(model, nvrtc, cache):
    kernels_from(model)
    (entry,) = cache.iterdir()
    entry.unlink()
    entry.mkdir()
    (entry / "file").touch()
    _engine.forget_compiled_kernels()
    assert kernels_from(model) == "compiler"
    assert list(cache.iterdir()) == [entry]


@pytest.mark.parametrize("home", ["/dev/null/home", "/proc/home", "occupied"])
def test_folder_that_cannot_be_written(model, nvrtc, tmp_path, monkeypatch, home):
    """No cache on disk is no error; what is in memory still serves."""
    if home == "occupied":
        home = tmp_path / "a-file"
        home.touch()
    monkeypatch.setenv("SO3KRATES_HOME", str(home))
    assert kernels_from(model) == "compiler"
    assert kernels_from(model) == "memory"
    _engine.forget_compiled_kernels()
    assert kernels_from(model) == "compiler"


def test_folder_is_beside_the_models(model, nvrtc, tmp_path, monkeypatch):
    monkeypatch.delenv("SO3KRATES_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kernels_from(model)
    assert len(list((tmp_path / "cache" / "openmm-so3krates" / "kernels").glob("*.cubin"))) == 1


def test_models_of_one_shape_share_kernels(model, model_of, nvrtc):
    """Weights, cutoffs and the like are no part of the machine code."""
    kernels_from(model)
    assert kernels_from(model_of(cutoff=3.3, avg_num_neighbors=7.0, zbl=False)) == "memory"


@pytest.mark.parametrize(
    "change",
    [
        {"num_features": 24},
        {"num_heads": 3},
        {"degrees": (0, 1, 2)},
        {"num_radial_basis": 6},
        {"num_layers": 3},
        {"activation": "tanh"},
        {"qk_activation": "silu"},
        {"energy_activation": "identity"},
        {"radial_basis": "gaussian"},
        {"cutoff_function": "cosine"},
        {"cutoff_exponent": 4},
        {"energy_hidden": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_shape_needs_other_kernels(model, model_of, nvrtc, change):
    kernels_from(model)
    assert kernels_from(model_of(**change)) == "compiler"


def test_precision_compiler_and_gpu_need_other_kernels(model, nvrtc, make_nvrtc, driver, monkeypatch, cache):
    kernels_from(model)
    assert kernels_from(model, "double") == "compiler"
    driver.set("capability", 80)
    assert kernels_from(model) == "compiler"
    driver.set("capability", 90)
    assert kernels_from(model) == "memory"
    monkeypatch.setenv("SO3KRATES_NVRTC", str(make_nvrtc(12).path))
    assert kernels_from(model) == "compiler"
    assert len(list(cache.iterdir())) == 4


def test_source_that_is_compiled(model, nvrtc):
    """The macros first, each defined once, then the one translation unit."""
    kernels_from(model, "double")
    lines = nvrtc.source.splitlines()
    assert lines[-1] == '#include "cuda/device/all.cuh"'
    macros = _engine.kernel_macros(model, "double")
    assert lines[:-1] == [f"#define {name} {value}" for name, value in macros.items()]
    assert macros["SO3K_REAL"] == "double" and macros["SO3K_F"] == "12" and macros["SO3K_DEGREE_LIST"] == "0,1,3"
    assert macros["SO3K_M"] == "11" and macros["SO3K_ENERGY_HIDDEN"] == "7" and macros["SO3K_HIRSHFELD_HIDDEN"] == "6"


@pytest.mark.parametrize(("wish", "macro"), [(None, "1"), ("1", "1"), ("0", "0")])
def test_tensor_cores_can_be_refused(model, monkeypatch, wish, macro):
    monkeypatch.delenv("SO3KRATES_TENSOR_CORES", raising=False)
    if wish is not None:
        monkeypatch.setenv("SO3KRATES_TENSOR_CORES", wish)
    assert _engine.kernel_macros(model, "single")["SO3K_TENSOR_CORES"] == macro


@pytest.mark.parametrize(
    ("precision", "choices", "macro"),
    [
        ("single", {}, "1"),
        ("double", {}, "0"),
        ("single", {"euclidean_init": "neighborhood"}, "0"),
        ("single", {"num_features": 30, "num_heads": 30}, "0"),  # with 3 degrees, 2 numbers more than have room
        ("single", {"num_features": 24, "num_heads": 24}, "1"),
    ],
)
def test_first_layer_kernels_are_left_out_where_they_are_never_launched(tmp_path, precision, choices, macro):
    hyper = small_hyperparameters(**choices)
    path = tmp_path / "small.safetensors"
    write_model_file(path, hyper, random_tensors(hyper), {"source": "a test", "license": "CC0"})
    assert _engine.kernel_macros(_engine.Model.load(str(path)), precision)["SO3K_FIRST_LAYER"] == macro


# --- the choice of a compiler


def test_compile_errors_show_the_log(model, nvrtc, cache):
    nvrtc.set("fail", 1)
    with pytest.raises(
        DeviceError, match=r"cannot compile the kernels for sm_90: NVRTC_ERROR_COMPILATION\n.*error: exp"
    ):
        kernels_from(model)
    assert not cache.exists()
    nvrtc.set("fail", 0)
    assert kernels_from(model) == "compiler"


@pytest.mark.parametrize(
    ("capability", "architectures", "target"),
    [
        (90, (75, 80, 90), "sm_90"),
        (89, (75, 80, 90), "sm_80"),  # machine code runs on later GPUs of its generation
        (121, (90, 120), "sm_120"),
        (121, (120, 121), "sm_121"),
        (100, (80, 90), "compute_90"),  # a generation that the compiler does not know: the driver translates
        (75, (75,), "sm_75"),
    ],
)
def test_architecture(model, nvrtc, driver, make_nvrtc, monkeypatch, tmp_path, capability, architectures, target):
    nvrtc.set_architectures(*architectures)
    driver.set("capability", capability)
    device = _engine.CudaDevice(model, "single")
    assert device.target == target
    (loaded,) = [call for call in driver.calls if call.startswith("cuModuleLoadData")]
    assert loaded.startswith(
        f"cuModuleLoadData {'ptx' if 'compute' in target else 'cubin'} --gpu-architecture={target}"
    )


def test_first_compiler_that_serves(model, make_nvrtc, driver, monkeypatch):
    """Code of a newer major version may be refused by the driver: an older compiler is then better."""
    new, old = make_nvrtc(13), make_nvrtc(12)
    monkeypatch.setenv("SO3KRATES_NVRTC", f"{new.path.parent}:{old.path.parent}")  # folders
    assert _engine.CudaDevice(model, "single").compiler == "NVRTC 13.0"


def test_older_driver_gets_an_older_compiler(model, make_nvrtc, driver, monkeypatch):
    driver.set("version", 12040)
    new, old = make_nvrtc(13), make_nvrtc(12)
    monkeypatch.setenv("SO3KRATES_NVRTC", f"{new.path}:{old.path}")
    assert _engine.CudaDevice(model, "single").compiler == "NVRTC 12.0"
    monkeypatch.setenv("SO3KRATES_NVRTC", str(new.path))
    with pytest.raises(DeviceError, match=r"too new for a driver of CUDA 12.4\nInstall .*nvidia-cuda-nvrtc-cu12==12.9"):
        _engine.CudaDevice(model, "single")
    assert driver.leaks == ""


def test_older_gpu_gets_an_older_compiler(model, make_nvrtc, driver, monkeypatch):
    driver.set("capability", 70)
    new, old = make_nvrtc(13), make_nvrtc(12)
    old.set_architectures(70)  # asked for when it is opened
    monkeypatch.setenv("SO3KRATES_NVRTC", f"{new.path}:{old.path}")
    device = _engine.CudaDevice(model, "single")
    assert (device.compiler, device.target) == ("NVRTC 12.0", "sm_70")
    monkeypatch.setenv("SO3KRATES_NVRTC", str(new.path))
    with pytest.raises(DeviceError, match=r"no longer compiles for compute capability 7.0\nInstall "):
        _engine.CudaDevice(model, "single")


def test_no_compiler(model, tmp_path, monkeypatch):
    monkeypatch.setenv("SO3KRATES_NVRTC", str(tmp_path / "nothing.so"))
    with pytest.raises(DeviceError, match=r"pip install nvidia-cuda-nvrtc .*SO3KRATES_NVRTC.*(?s:.)*nothing.so"):
        kernels_from(model)


def test_library_that_is_no_compiler(model, driver, monkeypatch):
    monkeypatch.setenv("SO3KRATES_NVRTC", str(driver.path))
    with pytest.raises(DeviceError, match="is no NVRTC of CUDA 12 or newer: it has no nvrtcGetErrorString"):
        kernels_from(model)


def test_wheels_are_found_without_loader_path(monkeypatch):
    """The wheels of requirements/dev.txt, newest first; no LD_LIBRARY_PATH leads to them."""
    monkeypatch.delenv("SO3KRATES_NVRTC", raising=False)
    assert not any("nvidia" in part for part in os.environ.get("LD_LIBRARY_PATH", "").split(":"))
    parts = [folder.split("nvidia/")[-1] for folder in cuda.nvrtc_folders() if "nvidia/" in folder]
    assert parts == ["cu13/lib", "cuda_nvrtc/lib"]
    info = _engine.cuda_info()["nvrtc"]
    assert info["version"].startswith("13.") and "nvidia/cu13/lib/libnvrtc.so.13" in info["path"]
