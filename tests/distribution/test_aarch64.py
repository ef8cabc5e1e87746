"""The engine on 64-bit Arm: cross-compiled without a warning and executed by an emulator of the processor.

apt install g++-aarch64-linux-gnu qemu-user
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import load_case

PROJECT = Path(__file__).parent / "aarch64"
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
SYSROOT = "/usr/aarch64-linux-gnu"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (shutil.which(COMPILER) and shutil.which(EMULATOR)),
        reason="needs a cross compiler and an emulator: apt install g++-aarch64-linux-gnu qemu-user",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("aarch64")
    cmake = [sys.executable, "-m", "cmake"]
    settings = {"SYSTEM_NAME": "Linux", "SYSTEM_PROCESSOR": "aarch64", "CXX_COMPILER": COMPILER}
    options = [f"-DCMAKE_{name}={value}" for name, value in settings.items()]
    for command in ([*cmake, "-S", PROJECT, "-B", folder, *options], [*cmake, "--build", folder, "-j2"]):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    return folder / "evaluate"


@pytest.mark.parametrize("name", ["ac_ala3_nhme", "water_8_smallcell"])
@pytest.mark.parametrize("precision", ["single", "double"])
def test_against_the_original_code(program, so3lr, name, precision):
    case = load_case(name)
    assert case.charge == case.spin == 0
    cell = np.zeros((3, 3)) if case.cell is None else case.cell
    atoms = zip(case.atomic_numbers, case.positions, strict=True)
    rows = [[case.num_atoms], cell.ravel(), *([number, *position] for number, position in atoms)]
    system = "\n".join(" ".join(str(number) for number in row) for row in rows)
    command = [EMULATOR, "-L", SYSROOT, program, so3lr, precision, str(case.lr_cutoff)]
    result = subprocess.run(command, input=system, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    implementation, energy, *lines = result.stdout.splitlines()
    assert implementation.startswith(f"CPU baseline {precision}")
    values = np.array([[float(number) for number in line.split()] for line in lines])
    tolerance = {"single": 2e-5, "double": 1e-10}[precision]
    np.testing.assert_allclose(values[:, 1:], case.double.forces, rtol=0, atol=tolerance)
    np.testing.assert_allclose(values[:, 0], case.double.partial_charges, rtol=0, atol=tolerance)
    np.testing.assert_allclose(float(energy), case.double.energy, rtol=0, atol=tolerance * case.num_atoms)
