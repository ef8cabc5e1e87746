"""Builds and loads the emulated CUDA backend: its kernels executed on the CPU (tests/cuda_emulation).

`emulated("so3lr_double")` is the module of one shape. `sanitized(__file__, "-k", "few_cases")` runs tests again in a
process of their own with AddressSanitizer and UndefinedBehaviorSanitizer in everything that is emulated.
"""

import contextlib
import fcntl
import importlib.util
import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import pytest
from stubs import driver, make_nvrtc, nvrtc, stub_folder  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
SANITIZED = "SO3KRATES_EMULATION_SANITIZED"  # set in the processes that `sanitized` starts
SANITIZERS = "address,undefined"


def _run(*command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=env)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout[-8000:]}", pytrace=False)
    return done.stdout


@contextlib.contextmanager
def _alone(folder: Path):
    """Several test processes may want to build in one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def _configured(sanitize: bool) -> Path:
    folder = ROOT / "build" / ("emulation-sanitized" if sanitize else "emulation")
    options = [
        "-DSO3KRATES_CUDA_EMULATION=ON",
        "-DSO3KRATES_OPENMM=OFF",
        f"-DPython_EXECUTABLE={sys.executable}",
        "-DCMAKE_BUILD_TYPE=None",
    ]
    if sanitize:
        flags = "-O1 -fno-sanitize-recover=all -fsanitize-sections=so3krates_shared"
        options += [f"-DSO3KRATES_SANITIZE={SANITIZERS}", f"-DCMAKE_CXX_FLAGS={flags}"]
    else:
        options += ["-DCMAKE_CXX_FLAGS=-O2"]
    pybind11 = _run(sys.executable, "-m", "pybind11", "--cmakedir").strip()
    with _alone(folder):
        _run(_cmake(), "-S", str(ROOT), "-B", str(folder), f"-Dpybind11_DIR={pybind11}", *options)
    return folder


def _cmake() -> str:
    beside_python = Path(sys.executable).parent / "cmake"
    return str(beside_python) if beside_python.exists() else "cmake"


@cache
def _built(shape: str, sanitize: bool) -> Path:
    folder = _configured(sanitize)
    name = f"_emulated_{shape}"
    with _alone(folder):
        _run(_cmake(), "--build", str(folder), "--target", name, "-j", "2")
    return folder / "tests" / "cuda_emulation" / (name + sysconfig.get_config_var("EXT_SUFFIX"))


@cache
def _load(shape: str):
    path = _built(shape, SANITIZED in os.environ)
    spec = importlib.util.spec_from_file_location(f"_emulated_{shape}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def emulated():
    """emulated(shape): the module _emulated_<shape>, built on first use."""
    return _load


@pytest.fixture(scope="session")
def sanitized():
    """sanitized(*pytest_arguments): runs tests with the sanitized modules in a process of their own."""

    def run(*arguments: str) -> None:
        if SANITIZED in os.environ:
            pytest.skip("already under the sanitizers")
        libraries = [_run("g++", f"-print-file-name={name}").strip() for name in ("libasan.so", "libubsan.so")]
        env = {
            **os.environ,
            SANITIZED: "1",
            "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",  # Python itself never frees some of its memory
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",
        }
        _run(sys.executable, "-m", "pytest", "-q", "-x", "-s", "-p", "no:cacheprovider", *arguments, env=env)

    return run


@pytest.fixture(params=["forward", "reverse", "random:1", "random:2"])
def thread_order(request, monkeypatch):
    """Runs the test once per order of threads, warps and blocks."""
    monkeypatch.setenv("SO3KRATES_EMULATION_ORDER", request.param)
    return request.param
