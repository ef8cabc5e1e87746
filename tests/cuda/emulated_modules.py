"""Builds and loads the emulated CUDA backend: its kernels executed on the CPU (tests/cuda_emulation).

`load("so3lr_double")` is the module of one shape, built into `build/emulation` on first use. Needs CMake, a C++
compiler and pybind11, no GPU.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SANITIZERS = "address,undefined"


class CommandError(RuntimeError):
    """A command failed; the message is its output."""


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """The output of a command, run in the repository's root. Raises `CommandError` if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=env)
    if done.returncode:
        raise CommandError(f"{' '.join(command)}\n{done.stdout[-8000:]}")
    return done.stdout


@contextlib.contextmanager
def _alone(folder: Path):
    """Several processes may want to build in one folder."""
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
    pybind11 = run(sys.executable, "-m", "pybind11", "--cmakedir").strip()
    with _alone(folder):
        run(_cmake(), "-S", str(ROOT), "-B", str(folder), f"-Dpybind11_DIR={pybind11}", *options)
    return folder


def _cmake() -> str:
    beside_python = Path(sys.executable).parent / "cmake"
    return str(beside_python) if beside_python.exists() else "cmake"


@cache
def load(shape: str, sanitize: bool = False):
    """The module `_emulated_<shape>` of tests/cuda_emulation/CMakeLists.txt.

    Raises `CommandError` if it cannot be built.
    sanitize: with AddressSanitizer and UndefinedBehaviorSanitizer, whose libraries the process must have loaded.
    """
    folder = _configured(sanitize)
    name = f"_emulated_{shape}"
    with _alone(folder):
        run(_cmake(), "--build", str(folder), "--target", name, "-j", os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", "2"))
    path = folder / "tests" / "cuda_emulation" / (name + sysconfig.get_config_var("EXT_SUFFIX"))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
