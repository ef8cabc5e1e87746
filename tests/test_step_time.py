"""The systems of the step-time benchmark, and the benchmark itself at its smallest."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks/step_time.py"
spec = importlib.util.spec_from_file_location("step_time", SCRIPT)
step_time = importlib.util.module_from_spec(spec)
spec.loader.exec_module(step_time)


@pytest.mark.parametrize("size", step_time.SIZES)
def test_systems(size):
    numbers, positions, cell = step_time.build(size)
    assert len(numbers) == len(positions) == size
    np.testing.assert_array_equal(positions, step_time.build(size)[1])  # the same each time
    if cell is None:
        assert size in (22, 42, 112)
        return
    grams = size / 3 * 18.015 / 6.02214076e23
    assert grams / (np.linalg.det(cell) * 1e-24) == pytest.approx(0.997, rel=1e-3)
    molecules = positions.reshape(-1, 3, 3)
    bonds = np.linalg.norm(molecules[:, 1:] - molecules[:, :1], axis=-1)
    np.testing.assert_allclose(bonds, 0.9572, atol=1e-9)
    normals = np.cross(molecules[:, 1] - molecules[:, 0], molecules[:, 2] - molecules[:, 0])
    mean = normals.mean(axis=0) / np.linalg.norm(normals[0])
    assert np.linalg.norm(mean) < 4 / np.sqrt(len(molecules))  # no preferred orientation


def test_benchmark_runs(so3lr, tmp_path):
    output = tmp_path / "results.json"
    command = [sys.executable, SCRIPT, "--quick", "--sizes", "22", "--repeats", "3", "--threads", "1", "2"]
    process = subprocess.run([*command, "--model", so3lr, "-o", output], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    report = json.loads(output.read_text())
    assert [(row["atoms"], row["threads"]) for row in report["results"]] == [(22, 1), (22, 2)]
    for row in report["results"]:
        low, high = row["md_step_ms"]["quartiles"]
        assert 0 < row["md_step_ms"]["fastest"] <= low <= row["md_step_ms"]["median"] <= high
        assert row["ns_per_day"] == pytest.approx(0.5e-6 * 86400e3 / row["md_step_ms"]["median"])
        assert 20 < row["peak_memory_MB_energy_forces"] <= row["peak_memory_MB"] < 2000
    assert report["machine"]["cores"] >= 1 and report["machine"]["cpu"]
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [["--sizes", "23"], ["--threads", "0"], ["--model", "/absent.safetensors"]])
def test_bad_arguments(tmp_path, arguments):
    command = [sys.executable, SCRIPT, "--quick", "-o", tmp_path / "r.json", *arguments]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode != 0 and "Traceback" not in process.stderr and process.stderr
