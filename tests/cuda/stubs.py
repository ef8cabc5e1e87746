"""A pretended driver and run-time compiler (stub_libcuda.cpp, stub_libnvrtc.cpp), built by g++, one copy per test."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@cache
def _built(source: str, folder: Path, *flags: str) -> Path:
    library = folder / f"{source}-{abs(hash(flags))}.so"
    command = ["g++", "-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", f"-I{ROOT / 'kernels'}", *flags]
    done = subprocess.run(
        [*command, str(HERE / f"{source}.cpp"), "-o", str(library)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return library


class StubDriver:
    """The test's side of one copy of the stub driver."""

    def __init__(self, path: Path):
        self.path = path
        self.library = ctypes.CDLL(str(path))
        for name in ("stub_calls", "stub_leaks"):
            getattr(self.library, name).restype = ctypes.c_char_p
        for name in ("stub_make_context", "stub_make_stream", "stub_current_context"):
            getattr(self.library, name).restype = ctypes.c_void_p

    def set(self, name: str, value: int) -> None:
        self.library.stub_set(name.encode(), ctypes.c_long(value))

    def fail(self, symbol: str, code: int = 999) -> None:
        self.library.stub_fail(symbol.encode(), code)

    def work_again(self) -> None:
        self.library.stub_work_again()

    @property
    def calls(self) -> list[str]:
        """The calls so far: symbol and details, without the bookkeeping of contexts."""
        dull = ("cuCtxGetCurrent", "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2")
        return [line for line in self.all_calls if line.split()[0] not in dull]

    @property
    def all_calls(self) -> list[str]:
        return self.library.stub_calls().decode().splitlines()

    def forget_calls(self) -> None:
        self.library.stub_forget_calls()

    @property
    def leaks(self) -> str:
        return self.library.stub_leaks().decode()

    def make_context(self, device: int = 0) -> int:
        """Makes a context of somebody else's and leaves it current."""
        return self.library.stub_make_context(device)

    def make_stream(self) -> int:
        return self.library.stub_make_stream()

    @property
    def current_context(self) -> int | None:
        return self.library.stub_current_context()


class StubNvrtc:
    """The test's side of one copy of the stub compiler."""

    def __init__(self, path: Path):
        self.path = path
        self.library = ctypes.CDLL(str(path))
        self.library.stub_source.restype = ctypes.c_char_p

    def set(self, name: str, value: int) -> None:
        self.library.stub_set(name.encode(), ctypes.c_long(value))

    def set_architectures(self, *architectures: int) -> None:
        self.library.stub_architectures((ctypes.c_int * len(architectures))(*architectures), len(architectures))

    @property
    def compilations(self) -> int:
        return self.library.stub_compilations()

    @property
    def source(self) -> str:
        return self.library.stub_source().decode()


@pytest.fixture(scope="session")
def stub_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("stubs")


@pytest.fixture
def driver(stub_folder, tmp_path, monkeypatch) -> StubDriver:
    """A driver of its own for the test, in place of the machine's."""
    path = Path(shutil.copy(_built("stub_libcuda", stub_folder), tmp_path / "libcuda.so.1"))
    monkeypatch.setenv("SO3KRATES_LIBCUDA", str(path))
    return StubDriver(path)


@pytest.fixture
def make_nvrtc(stub_folder, tmp_path):
    """make_nvrtc(major): another compiler, as a file in a folder of its own."""

    def make(major: int = 13) -> StubNvrtc:
        folder = tmp_path / f"nvrtc{major}"
        folder.mkdir()
        library = _built("stub_libnvrtc", stub_folder, f"-DSTUB_MAJOR={major}")
        return StubNvrtc(Path(shutil.copy(library, folder / f"libnvrtc.so.{major}")))

    return make


@pytest.fixture
def nvrtc(make_nvrtc, monkeypatch) -> StubNvrtc:
    """A compiler of its own for the test, in place of the machine's."""
    stub = make_nvrtc()
    monkeypatch.setenv("SO3KRATES_NVRTC", str(stub.path))
    return stub


def old_driver(folder: Path, target: Path) -> Path:
    """A driver without some of the functions."""
    return Path(shutil.copy(_built("stub_libcuda", folder, "-DSTUB_WITHOUT_GRAPHS"), target))


def self_test_arguments(source: int, target: int, factor: float, n: int) -> bytes:
    """struct SelfTestArguments of kernels/cuda/device/self_test_arguments.h."""
    return struct.pack("<QQdi4x", source, target, factor, n)
