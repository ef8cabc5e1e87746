"""What is measured, in which order, each in a process of its own; and what the processes say, as rows of numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from .systems import BenchmarkSystem, Rung

OURS = "openmm-so3krates"
LISTS_INCLUDED = "energy + forces, lists included"
LISTS_GIVEN = "energy + forces, lists given"
MD_STEP = "MD step"

_RUNNERS = Path(__file__).parent / "runners"
_PEERS = {"torch": ("so3krates-torch", "torch_runner.py"), "jax": ("so3lr (JAX)", "jax_runner.py")}
_SEED = 20240806
_TOO_LONG = "took longer than"
_SHAKE = 0.02  # Å; programs see atoms that move, as in a simulation, and not one geometry again and again


class BenchmarkError(ValueError):
    """The benchmark cannot be run as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """`model`: name or file; `lr_cutoff` Å; `timestep` fs; `seconds` per measurement; `timeout` s per process."""

    model: str = "so3lr"
    precision: str = "single"
    lr_cutoff: float = 12.0
    timestep: float = 0.5
    devices: tuple[str, ...] = ("cpu",)
    platforms: tuple[str, ...] = ("CPU",)
    threads: tuple[int, ...] = (1,)
    repeats: int = 15
    seconds: float = 10.0
    timeout: float = 600.0


@dataclass(frozen=True)
class Program:
    """Something that is timed: `python RUNNER job.json result.json`."""

    name: str
    runner: str
    python: str
    device: str  # of an evaluation, or "OpenMM " and a platform
    model: str = ""  # another model than the benchmark's
    precision: str = ""  # another than the benchmark's
    job: dict = field(default_factory=dict)  # what its runner needs beside the common part

    @property
    def label(self) -> str:
        return self.name if self.device == "cpu" else f"{self.name} {self.device}"


@dataclass(frozen=True)
class Row:
    """One measured thing. Times in ms, memory in MB, forces in eV/Å, energies in eV; `error` if it failed.

    `model`: what was computed, empty in files from before it was recorded; only rows of one model can be compared as
    programs. `remark`: why something is missing in a row that was measured.
    """

    system: str
    atoms: int
    program: str
    device: str
    precision: str
    threads: int
    method: str
    implementation: str = ""
    median_ms: float | None = None
    lower_quartile_ms: float | None = None
    upper_quartile_ms: float | None = None
    fastest_ms: float | None = None
    repeats: int = 0
    baseline_MB: float | None = None
    peak_MB: float | None = None
    ns_per_day: float | None = None
    max_force_error: float | None = None
    rms_force_error: float | None = None
    max_force_difference: float | None = None
    energy_change_error: float | None = None
    error: str = ""
    model: str = ""
    remark: str = ""


def model_name(model: str) -> str:
    """A model as tables name it: installed ones by name, files without their folders."""
    return Path(model).name


def peers_in(folder: Path, devices: tuple[str, ...], needed: bool = True) -> list[Program]:
    """The peers that benchmarks/peers/set_up_*.sh have put into a folder: FOLDER/torch and FOLDER/jax.

    `needed`: raise `BenchmarkError` if there is none.
    """
    found = [
        Program(name, runner, str(folder / environment / "bin/python"), device)
        for environment, (name, runner) in _PEERS.items()
        if (folder / environment / "bin/python").exists()
        for device in devices
    ]
    if needed and not found:
        raise BenchmarkError(
            f"{folder} holds neither torch/bin/python nor jax/bin/python: set the peers up with "
            "benchmarks/peers/set_up_torch.sh and set_up_jax.sh of the source"
        )
    return found


def measurements(settings: Settings, peers: list[Program]) -> list[Program]:
    """Every program that runs on every system."""
    ours = [Program(OURS, "engine_runner.py", sys.executable, device) for device in settings.devices]
    steps = [Program(OURS, "openmm_runner.py", sys.executable, f"OpenMM {name}") for name in settings.platforms]
    return ours + steps + peers


def measure(rung: Rung, programs: list[Program], settings: Settings) -> Iterator[list[Row]]:
    """Rows of one system, one list for each program and number of threads, as they come."""
    system = rung.build()
    job = make_job(system, settings)
    # float64 forces are what all others are compared with
    exact = Program(OURS, "engine_runner.py", sys.executable, "cpu")
    reference = run(exact, {**job, "precision": "double"}, settings.timeout)
    ours = None
    for threads in settings.threads:
        for program in programs:
            this = {**job, **program.job, "threads": threads, "repeats": settings.repeats, "device": program.device}
            if program.device.startswith("OpenMM "):
                this["platform"] = program.device.removeprefix("OpenMM ")
            result = run(program, this, settings.timeout)
            if program.name == OURS and "forces" in result and ours is None:
                ours = result
            yield _rows(system, program, threads, settings, result, reference, ours)


def make_job(system: BenchmarkSystem, settings: Settings) -> dict:
    """A job of runners/protocol.py without timing: the system as built, and shaken."""
    shaken = system.positions + np.random.default_rng(_SEED).uniform(-_SHAKE, _SHAKE, system.positions.shape)
    return {
        "atomic_numbers": system.atomic_numbers.tolist(),
        "frames": [system.positions.tolist(), shaken.tolist()],
        "cell": None if system.cell is None else system.cell.tolist(),
        "model": os.path.abspath(settings.model) if "/" in settings.model else settings.model,
        "lr_cutoff": settings.lr_cutoff,
        "precision": settings.precision,
        "threads": max(settings.threads),
        "device": "cpu",
        "timestep": settings.timestep,
        "repeats": 0,
        "seconds": settings.seconds,
        "quiet": True,
    }


def run(program: Program, job: dict, timeout: float | None = None) -> dict:
    """The result of a runner in a fresh process, or {"error": ...}."""
    threads = str(job["threads"])
    environment = {
        **os.environ,
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads),
    }
    with tempfile.TemporaryDirectory(prefix="so3krates-benchmark-") as folder:
        job_file, result_file = Path(folder) / "job.json", Path(folder) / "result.json"
        job_file.write_text(json.dumps(job))
        command = [program.python, str(_RUNNERS / program.runner), str(job_file), str(result_file)]
        try:
            process = subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            return {"error": f"{_TOO_LONG} {timeout:g} s"}
        if not result_file.exists():
            last = (process.stderr.strip().splitlines() or ["no message"])[-1]
            return {"error": f"the process ended with status {process.returncode}: {last}"}
        return json.loads(result_file.read_text())


def _rows(system, program, threads, settings, result, reference, ours) -> list[Row]:
    common = {
        "system": system.name,
        "atoms": len(system.atomic_numbers),
        "program": program.name,
        "device": program.device,
        "precision": program.precision or settings.precision,
        "threads": threads,
        "model": program.model or model_name(settings.model),
    }
    if "error" in result:
        return [Row(**common, method="", error=result["error"])]
    accuracy = {} if program.model or "forces" not in result else _accuracy(result, reference, ours)
    rows = []
    for method, seconds in result["times"].items():
        low, median, high = 1e3 * np.percentile(seconds, [25, 50, 75])
        rows.append(
            Row(
                **common,
                **accuracy,
                method=method,
                implementation=result["implementation"],
                median_ms=float(median),
                lower_quartile_ms=float(low),
                upper_quartile_ms=float(high),
                fastest_ms=1e3 * min(seconds),
                repeats=len(seconds),
                baseline_MB=result["baseline_MB"],
                peak_MB=result["peak_MB"],
                ns_per_day=settings.timestep * 1e-6 * 86400e3 / float(median) if method == MD_STEP else None,
            )
        )
    return rows


def _accuracy(result: dict, reference: dict, ours: dict | None) -> dict:
    """Errors of a result of the benchmark's own model, as a Row has them."""
    forces = np.array(result["forces"])
    found = {}
    if "error" in reference:
        found["remark"] = f"no errors: the float64 evaluation they are taken from {_failed(reference['error'])}"
    else:
        deviation = forces - np.array(reference["forces"])
        found["max_force_error"] = float(np.abs(deviation).max())
        found["rms_force_error"] = float(np.sqrt(np.mean(deviation**2)))
        # Absolute energies differ by a constant of the composition between programs.
        change = np.diff(result["energies"])[0] - np.diff(reference["energies"])[0]
        found["energy_change_error"] = float(abs(change))
    if ours is not None:
        found["max_force_difference"] = float(np.abs(forces - np.array(ours["forces"])).max())
    return found


def _failed(error: str) -> str:
    return error if error.startswith(_TOO_LONG) else f"failed: {error}"


def as_dictionary(row: Row) -> dict:
    """Without what was not measured."""
    return {key: value for key, value in asdict(row).items() if value not in (None, "")}
