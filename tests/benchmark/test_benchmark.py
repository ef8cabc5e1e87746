"""`so3krates benchmark`: measurements, peers, files, comparison, fits."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import openmm_so3krates.benchmark
from openmm_so3krates import cli
from openmm_so3krates.benchmark import cost_model, machine, measure, tables
from openmm_so3krates.benchmark.measure import Row
from openmm_so3krates.benchmark.systems import LADDER

RUNNERS = Path(openmm_so3krates.benchmark.__file__).parent / "runners"


def stand_in(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


@pytest.fixture(scope="module")
def report(so3lr, tmp_path_factory):
    """A run with two stand-ins for peers: our own engine, and one that dies."""
    folder = tmp_path_factory.mktemp("benchmark")
    stand_in(folder / "peers/torch/bin/python", f'exec {sys.executable} {RUNNERS}/engine_runner.py "$2" "$3"\n')
    stand_in(folder / "peers/jax/bin/python", "echo out of memory >&2; exit 3\n")
    arguments = ["--sizes", "22", "--threads", "1", "--repeats", "3", "--seconds", "0.2", "--model", str(so3lr)]
    output = folder / "out/result.json"
    command = [
        *arguments,
        "--peers",
        str(folder / "peers"),
        "--devices",
        "cpu",
        "--platforms",
        "CPU",
        "-o",
        str(output),
    ]
    process = subprocess.run(
        [sys.executable, "-m", "openmm_so3krates.cli", "benchmark", *command], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return output, process.stdout


def test_report(report):
    output, text = report
    result = json.loads(output.read_text())
    assert result["machine"]["cores"] >= 1 and result["machine"]["cpu"] and result["machine"]["memory_GiB"] > 0
    assert len(result["model_sha256"]) == 64
    rows = {(row["program"], row["device"]): row for row in result["results"]}
    assert set(rows) == {
        ("openmm-so3krates", "cpu"),
        ("openmm-so3krates", "OpenMM CPU"),
        ("so3krates-torch", "cpu"),
        ("so3lr (JAX)", "cpu"),
    }
    assert rows["so3lr (JAX)", "cpu"]["error"] == "the process ended with status 3: out of memory"
    assert "not measured: so3lr (JAX), 22 atoms: the process ended with status 3: out of memory" in text
    for key, row in rows.items():
        if key[0] == "so3lr (JAX)":
            continue
        assert row["atoms"] == 22 and row["threads"] == 1 and row["repeats"] == 3
        assert 0 < row["fastest_ms"] <= row["lower_quartile_ms"] <= row["median_ms"] <= row["upper_quartile_ms"]
        assert 10 < row["baseline_MB"] < row["peak_MB"] < 2000
    steps = rows["openmm-so3krates", "OpenMM CPU"]
    assert steps["ns_per_day"] == pytest.approx(0.5e-6 * 86400e3 / steps["median_ms"])
    assert f"{steps['ns_per_day']:.3g} ns/day" in text.splitlines()[-1]
    peer = rows["so3krates-torch", "cpu"]
    assert peer["max_force_difference"] == 0 and 1e-8 < peer["max_force_error"] < 1e-4
    with open(output.with_suffix(".csv"), newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["program"] for line in lines] == [row["program"] for row in result["results"]]
    assert float(lines[0]["median_ms"]) == result["results"][0]["median_ms"]
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_compare(report, tmp_path, capsys):
    first = json.loads(report[0].read_text())
    for row in first["results"]:
        for key in ("median_ms", "lower_quartile_ms", "upper_quartile_ms"):
            if key in row:
                row[key] *= 0.25
    (tmp_path / "second.json").write_text(json.dumps(first))
    assert cli.main(["benchmark", "--compare", str(report[0]), str(tmp_path / "second.json")]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "Ac-Ala1-NHMe" in line]
    assert len(lines) == 3 and all(" 4.00" in line for line in lines)
    first["settings"]["lr_cutoff"] = 10.0
    (tmp_path / "second.json").write_text(json.dumps(first))
    assert cli.main(["benchmark", "--compare", str(report[0]), str(tmp_path / "second.json")]) == 2
    assert "different long-range cutoffs (12.0 and 10.0)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--sizes", "23"], "there is no system of 23 atoms"),
        (["--max-atoms", "3"], "the smallest system has 22 atoms"),
        (["--threads", "100000"], "--threads 100000: this process may use"),
        (["--model", "/absent.safetensors"], "/absent.safetensors"),
        (["--peers", "/absent"], "set_up_torch.sh"),
        (["-o", "result.txt"], "ends in .json"),
        (["--platforms", "Abacus", "--devices", "abacus", "--sizes", "22"], "nothing could be measured"),
        (["--profile", "--sizes", "22", "--timeout", "0.01"], "could not be profiled: took longer than 0.01 s"),
        (["--compare", __file__, __file__], "is not a result"),
    ],
)
def test_bad_arguments(arguments, message, so3lr, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = [] if "--model" in arguments else ["--model", str(so3lr)]
    assert cli.main(["benchmark", "--quick", "--repeats", "1", *model, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_gpu_memory(so3lr, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["--gpu-memory", "--sizes", "22", "192", "--lr-cutoff", "10", "--model", str(so3lr)]
    assert cli.main(["benchmark", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    (large,) = [line.split() for line in lines if line.startswith("water")]
    model, lists, rest, total = map(float, large[2:6])
    assert total == pytest.approx(model + lists + rest, abs=0.2) and total < 20  # MB
    assert float(large[6]) == pytest.approx(1e3 * (total - model) / 192, rel=0.02)
    assert "million in 24 GB" in lines[-2 - len(machine.gpus())] and not list(tmp_path.iterdir())


def test_accuracy_numbers():
    """Known errors put into the forces and the energies of a made-up peer come out again."""

    class system:
        name, atomic_numbers = "made up", [1, 1]

    exact = {"forces": np.zeros((2, 2, 3)).tolist(), "energies": [1.0, 2.5]}
    forces = np.zeros((2, 2, 3))
    forces[1, 0, 2], forces[0, 1, 0] = -3e-4, 1e-4
    result = {
        "forces": forces.tolist(),
        "energies": [-100.0, -98.25],
        "times": {measure.LISTS_INCLUDED: [0.003, 0.001, 0.002]},
        "implementation": "",
        "baseline_MB": 10.0,
        "peak_MB": 30.0,
    }
    ours = {**exact, "forces": np.full((2, 2, 3), 1e-4).tolist()}
    program = measure.Program("peer", "", "", "cpu")
    (row,) = measure._rows(system, program, 1, measure.Settings(), result, exact, ours)
    assert row.max_force_error == pytest.approx(3e-4) and row.max_force_difference == pytest.approx(4e-4)
    assert row.rms_force_error == pytest.approx(np.sqrt((9 + 1) / 12) * 1e-4)
    assert row.energy_change_error == pytest.approx(0.25)
    assert (row.median_ms, row.fastest_ms) == pytest.approx((2.0, 1.0))
    assert "no rounding error" not in tables.accuracy([row])
    wrong = dataclasses.replace(row, max_force_error=0.1)
    assert "peer, 2 atoms: 1.0e-01 eV/Å is no rounding error" in tables.accuracy([wrong])


@pytest.mark.parametrize(
    "failure, remark",
    [
        ({"error": "took longer than 7 s"}, "the float64 evaluation they are taken from took longer than 7 s"),
        ({"error": "MemoryError: "}, "the float64 evaluation they are taken from failed: MemoryError: "),
    ],
)
def test_without_reference(failure, remark, monkeypatch):
    """Without float64 forces rows are measured all the same, and say why they have no errors."""
    limits = []

    def run(program, job, timeout=None):
        limits.append(timeout)
        if job["precision"] == "double":
            return failure
        shift = 0.0 if program.name == measure.OURS else 2e-4
        return {
            "forces": np.full((2, 22, 3), shift).tolist(),
            "energies": [1.0, 2.0],
            "times": {measure.LISTS_INCLUDED: [0.001] * 3},
            "implementation": "",
            "baseline_MB": 10.0,
            "peak_MB": 30.0,
        }

    monkeypatch.setattr(measure, "run", run)
    programs = [measure.Program(measure.OURS, "", "", "cpu"), measure.Program("peer", "", "", "cpu")]
    settings = measure.Settings(timeout=7.0)
    rows = [row for new in measure.measure(LADDER[0], programs, settings) for row in new]
    assert limits == [7.0] * 3  # the reference's, too
    assert [row.median_ms for row in rows] == [1.0, 1.0]
    assert all(row.max_force_error is None and row.energy_change_error is None for row in rows)
    assert all(row.remark == f"no errors: {remark}" for row in rows)
    assert rows[1].max_force_difference == pytest.approx(2e-4)
    text = tables.accuracy(rows)
    assert text.count(f"Ac-Ala1-NHMe, 22 atoms: no errors: {remark}") == 1 and "2.0e-04" in text
    assert "remark" in measure.as_dictionary(rows[0])


def test_fit():
    sizes = (22, 192, 1536)
    rows = [Row("", n, "p", "cpu", "single", 1, "m", median_ms=0.5 + 0.08 * n) for n in sizes]
    (found,) = cost_model.fits(rows).values()
    assert (found.fixed_ms, found.per_atom_us) == pytest.approx((0.5, 80))
    assert found.largest_deviation < 1e-9
    assert cost_model.fits(rows[:2]) == {}  # two sizes fit any line
    bent = cost_model.fit([1, 10, 100], [1, 20, 100])
    values = [bent.fixed_ms + bent.per_atom_us * 1e-3 * n for n in (1, 10, 100)]
    assert bent.largest_deviation == pytest.approx(
        max(abs(v / t - 1) for v, t in zip(values, (1, 20, 100), strict=True))
    )


def test_peak_memory_of_a_process(tmp_path):
    """A runner that holds 200 MB for a moment reports them, whatever the parent holds."""
    ballast = bytearray(os.urandom(1 << 20)) * 400
    (tmp_path / "runner.py").write_text(
        f"import sys; sys.path.insert(0, {str(RUNNERS)!r})\nimport protocol\n"
        "def measure(job):\n    before = protocol.peak_memory()\n    bytearray(b'x' * 200_000_000)\n"
        "    return {'baseline_MB': before}\n"
        "protocol.main(measure)\n"
    )
    (tmp_path / "job.json").write_text('{"threads": 1}')
    subprocess.run([sys.executable, tmp_path / "runner.py", tmp_path / "job.json", tmp_path / "r.json"], check=True)
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["baseline_MB"] < 100 and 190 < result["peak_MB"] - result["baseline_MB"] < 420
    assert len(ballast) == 400 << 20
