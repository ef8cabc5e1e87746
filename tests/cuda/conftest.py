"""`emulated("so3lr_double")` is the emulated module of one shape (emulated_modules.py). `sanitized(__file__, "-k",
"few_cases")` runs tests again in a process of their own with AddressSanitizer and UndefinedBehaviorSanitizer in
everything that is emulated.
"""

import os
import sys

import emulated_modules
import pytest
from stubs import driver, make_nvrtc, nvrtc, stub_folder  # noqa: F401

SANITIZED = "SO3KRATES_EMULATION_SANITIZED"  # set in the processes that `sanitized` starts


def _load(shape: str):
    try:
        return emulated_modules.load(shape, SANITIZED in os.environ)
    except emulated_modules.CommandError as error:
        pytest.fail(str(error), pytrace=False)


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
        names = ("libasan.so", "libubsan.so")
        libraries = [emulated_modules.run("g++", f"-print-file-name={name}").strip() for name in names]
        env = {
            **os.environ,
            SANITIZED: "1",
            "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",  # Python itself never frees some of its memory
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",
        }
        command = (sys.executable, "-m", "pytest", "-q", "-x", "-s", "-p", "no:cacheprovider", *arguments)
        try:
            emulated_modules.run(*command, env=env)
        except emulated_modules.CommandError as error:
            pytest.fail(str(error), pytrace=False)

    return run


@pytest.fixture(params=["forward", "reverse", "random:1", "random:2"])
def thread_order(request, monkeypatch):
    """Runs the test once per order of threads, warps and blocks."""
    monkeypatch.setenv("SO3KRATES_EMULATION_ORDER", request.param)
    return request.param
