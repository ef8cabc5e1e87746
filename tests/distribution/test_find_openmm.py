"""Which OpenMM a build is made against (cmake/FindOpenMM.cmake). Conda-like prefixes are links to the wheel."""

import os
import subprocess
import sys
from pathlib import Path

import openmm
import pytest

PROJECT = Path(__file__).parent / "find_openmm"
WHEEL = Path(openmm.__file__).parents[1] / "OpenMM.libs"

pytestmark = pytest.mark.skipif(not WHEEL.is_dir(), reason="these tests borrow the files of OpenMM's wheel")


def link(folder: Path, *parts: str) -> None:
    for part in parts:
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / part).symlink_to(WHEEL / part)


def make_prefix(folder: Path, parts=("include", "lib")) -> Path:
    link(folder, *parts)
    return folder


def configure(build: Path, python=sys.executable, **environment: str) -> subprocess.CompletedProcess:
    """Configures the small project in the folder `build`; the environment names no OpenMM but that of `environment`."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("OPENMM_DIR", "CONDA_PREFIX")}
    return subprocess.run(
        [sys.executable, "-m", "cmake", "-S", PROJECT, "-B", build, f"-DPython_EXECUTABLE={python}"],
        env=inherited | environment,
        capture_output=True,
        text=True,
    )


def answer(result: subprocess.CompletedProcess) -> list[str]:
    """Version, library and folder of headers that were found."""
    assert result.returncode == 0, result.stderr
    return (
        next(line for line in result.stdout.splitlines() if "answer: " in line)
        .rstrip("/")
        .split("answer: ")[1]
        .split(" ")
    )


def test_the_prefix_asked_for_comes_first_and_a_second_build_may_ask_for_another(tmp_path):
    asked, conda = make_prefix(tmp_path / "asked"), make_prefix(tmp_path / "conda")
    version = openmm.Platform.getOpenMMVersion()
    build = tmp_path / "build"
    found = answer(configure(build, OPENMM_DIR=str(asked), CONDA_PREFIX=str(conda)))
    assert found == [version, f"{asked}/lib/libOpenMM.so", f"{asked}/include"]
    # Without it: the wheel beside this Python, before a conda environment that this Python is not of.
    found = answer(configure(build, CONDA_PREFIX=str(conda)))
    assert found == [version, f"{WHEEL}/lib/libOpenMM.so", f"{WHEEL}/include"]


def test_the_prefix_of_python_itself_comes_before_an_active_environment(tmp_path):
    """As with conda's Python, without OPENMM_DIR; a conda environment that is merely active comes last."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python, conda = environment / "bin" / "python", make_prefix(tmp_path / "conda")
    found = answer(configure(tmp_path / "build", python, CONDA_PREFIX=str(conda)))
    assert found[1:] == [f"{conda}/lib/libOpenMM.so", f"{conda}/include"]
    link(environment, "include/OpenMM.h", "include/openmm", "lib/libOpenMM.so")
    found = answer(configure(tmp_path / "build", python, CONDA_PREFIX=str(conda)))
    assert found[1:] == [f"{environment}/lib/libOpenMM.so", f"{environment}/include"]


def test_an_openmm_that_wants_a_newer_libstdcxx(tmp_path):
    """As conda's, built by a newer compiler: it refers to symbols that this compiler's own libraries do not have."""
    conda = make_prefix(tmp_path / "conda", parts=("include",))
    (conda / "lib").mkdir()
    source = tmp_path / "openmm.cpp"
    source.write_text(
        '#include "openmm/Platform.h"\nvoid only_in_a_newer_libstdcxx();\n'
        "void not_called_here() { only_in_a_newer_libstdcxx(); }\n"
        'const std::string &OpenMM::Platform::getOpenMMVersion() { static std::string v = "7.8"; return v; }\n'
    )
    command = ["g++", "-std=c++17", "-shared", "-fPIC", "-Wl,-z,lazy", f"-I{conda}/include", source]
    subprocess.run([*command, "-o", conda / "lib/libOpenMM.so"], check=True)
    found = answer(configure(tmp_path / "build", OPENMM_DIR=str(conda)))
    assert found == ["7.8", f"{conda}/lib/libOpenMM.so", f"{conda}/include"]


def test_half_an_installation_is_an_error_that_names_the_folder(tmp_path):
    asked = make_prefix(tmp_path / "asked", parts=("include",))
    result = configure(tmp_path / "build", OPENMM_DIR=str(asked))
    assert result.returncode != 0
    message = " ".join(result.stderr.split())
    assert f"OPENMM_DIR is {asked}" in message and "no lib/libOpenMM.so" in message
