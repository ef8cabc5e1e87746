"""The engine compiled with AddressSanitizer and UndefinedBehaviorSanitizer: nothing is read or written out of bounds.

The build lies in build/sanitized and is brought up to date by each run; the first takes some minutes.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import ninja
import numpy as np
import pybind11
import pytest
from random_models import VARIATIONS, hyperparameters, random_model
from sanitizer_scenarios import run

import cmake

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "sanitized"
SHAPES = ["everything", "everything, from the neighborhood", "degrees 0 to 4", "six features", "gaussian basis"]
# Reports and aborts at the first finding. What Python itself never frees is not of interest.
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from openmm_so3krates import _engine
from sanitizer_scenarios import run

package, models, so3lr, output = map(Path, sys.argv[1:])
assert Path(_engine.__file__).parents[1] == package, _engine.__file__
np.savez(output, **run(models, so3lr))
"""


def succeed(command, **options) -> str:
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        pytest.fail(f"{command[0]} failed:\n{result.stdout[-5000:]}\n{result.stderr[-15000:]}", pytrace=False)
    return result.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder with the package's Python files and the sanitized `_engine`."""
    settings = {
        "CMAKE_MAKE_PROGRAM": Path(ninja.BIN_DIR) / "ninja",
        "CMAKE_CXX_COMPILER": "g++",
        "CMAKE_BUILD_TYPE": "RelWithDebInfo",  # without link-time optimization, which takes long
        "CMAKE_CXX_FLAGS_RELWITHDEBINFO": "-O1",
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
        "SO3KRATES_SANITIZE": "address,undefined",
        "SO3KRATES_OPENMM": "OFF",
    }
    program = Path(cmake.CMAKE_BIN_DIR) / "cmake"
    arguments = [f"-D{name}={value}" for name, value in settings.items()]
    succeed([program, "-G", "Ninja", "-S", ROOT, "-B", BUILD, *arguments])
    succeed([program, "--build", BUILD, "--parallel", "2"])
    name = f"_engine{sysconfig.get_config_var('EXT_SUFFIX')}"
    content = (BUILD / name).read_bytes()
    assert b"__asan_report" in content and b"__ubsan_handle" in content
    folder = tmp_path_factory.mktemp("package")
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "openmm_so3krates", folder / "openmm_so3krates", ignore=ignored)
    shutil.copy(BUILD / name, folder / "openmm_so3krates")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["best", "baseline"])
def test_nothing_is_found_and_results_are_the_same(package, so3lr, tmp_path, arch):
    models = tmp_path / "models"
    models.mkdir()
    for shape in SHAPES:
        model = random_model(hyperparameters(**VARIATIONS[shape]))
        model.save(models / f"{shape}.safetensors", provenance={"source": "random numbers"})
    # In this order: the C++ library must be known to the sanitizer before exceptions are thrown.
    preloaded = [succeed(["g++", f"-print-file-name={name}"]).strip() for name in ("libasan.so", "libstdc++.so")]
    # -S: the installed package, which may be an editable one, must not be found.
    path = [package, ROOT / "tests", ROOT / "tests" / "engine", sysconfig.get_path("purelib")]
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "LD_PRELOAD": " ".join(preloaded),
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "SO3KRATES_CPU_ARCH": arch,
    }
    output = tmp_path / "results.npz"
    succeed([sys.executable, "-S", "-c", SCRIPT, package, models, so3lr, output], env=environment, cwd=tmp_path)
    expected = run(models, so3lr)
    with np.load(output) as results:
        assert set(results) == set(expected)
        for name, values in expected.items():
            bound = 1e-3 if "single" in name else 1e-9
            assert np.abs(results[name] - values).max(initial=0.0) < bound * max(1.0, np.abs(values).max(initial=0.0))
