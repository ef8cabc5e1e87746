#!/usr/bin/env python3
"""Milliseconds per energy + forces and per MD step against the number of atoms.

Each size runs in a process of its own: first the engine alone (`Potential.compute`), then an OpenMM Context with
SO3kratesForce and the LangevinMiddle integrator at 0.5 fs. Repeats give the median and the spread; peak memory is the
process's largest resident size. The systems are made here: capped alanine peptides in vacuum and boxes of water.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

# NumPy, OpenMM and matplotlib are imported where they are used: what this process occupies before it starts the
# others would count as theirs in ru_maxrss.

ROOT = Path(__file__).resolve().parents[1]
PEPTIDES = {22: 1, 42: 3, 112: 10}  # atoms: alanines between the caps
WATERS = {192: 4, 648: 6, 1536: 8, 5184: 12}  # atoms: molecules along each edge of the box
SIZES = (*PEPTIDES, *WATERS)
QUICK_SIZES = (22, 42, 192)
WATER_DENSITY = 0.997  # g/cm³
SEED = 20240806
TIMESTEP = 0.0005  # ps

_EXAMPLES = """examples:
  benchmarks/step_time.py --quick                        a minute: three sizes, few repeats
  benchmarks/step_time.py --threads 1 2 -o results.json  everything, plot in results.png
  benchmarks/step_time.py --sizes 42 1536 --precision double
"""


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.worker is not None:
        try:
            print(json.dumps(measure(**json.loads(arguments.worker))))
        except Exception as error:  # whatever it is, the process that started this one wants one line
            sys.exit(f"{type(error).__name__}: {error}")
        return
    sizes = arguments.sizes or (QUICK_SIZES if arguments.quick else SIZES)
    settings = {
        "model": arguments.model,
        "precision": arguments.precision,
        "lr_cutoff": arguments.lr_cutoff,  # Å
        "platform": arguments.platform,
        "repeats": arguments.repeats or (5 if arguments.quick else 15),
        "seconds": 2.0 if arguments.quick else 10.0,
    }
    report = {
        "benchmark": "step_time",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "commit": commit(),
        "settings": settings,
        "results": [],
    }
    print(
        f"{'atoms':>6} {'threads':>7} {'energy+forces / ms':>22} {'MD step / ms':>22} {'ns/day':>8} {'memory / MB':>11}"
    )
    for size in sizes:
        for threads in arguments.threads:
            result = run_worker(size, threads, settings)
            report["results"].append(result)
            print(_row(result), flush=True)
            write(arguments.output, report)  # what has been measured is kept if a later size fails
    plot(report, arguments.output.with_suffix(".png"))
    print(f"written: {arguments.output} and {arguments.output.with_suffix('.png')}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def size(text: str) -> int:
        if not text.isdigit() or int(text) not in SIZES:
            raise argparse.ArgumentTypeError(f"the sizes are {', '.join(map(str, SIZES))} atoms, not {text}")
        return int(text)

    def count(text: str) -> int:
        if not text.isdigit() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text}")
        return int(text)

    parser.add_argument("--sizes", type=size, nargs="+", metavar="ATOMS", help=f"of {', '.join(map(str, SIZES))}")
    parser.add_argument("--threads", type=count, nargs="+", default=[2], metavar="N", help="(default 2)")
    parser.add_argument("--quick", action="store_true", help="few sizes and repeats")
    parser.add_argument("--repeats", type=count, help="at most this many (default 15, with --quick 5)")
    parser.add_argument("--model", default="so3lr", help="installed model or model file (default so3lr)")
    parser.add_argument("--precision", choices=("single", "double"), default="single")
    parser.add_argument("--lr-cutoff", type=float, default=12.0, metavar="Å", help="long-range cutoff (default 12 Å)")
    parser.add_argument("--platform", default="CPU", help="OpenMM platform of the MD steps (default CPU)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("step_time.json"), help="JSON; the plot goes beside it"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


# -- systems -------------------------------------------------------------------------------------------------


def build(size: int):
    """Atomic numbers (N,), positions (N, 3) in Å and cell (3, 3) in Å or None of the system with `size` atoms."""
    import numpy as np

    if size in PEPTIDES:
        sys.path.insert(0, str(ROOT / "scripts"))
        import build_capped_alanine

        atoms = build_capped_alanine.build(PEPTIDES[size])
        numbers = {"H": 1, "C": 6, "N": 7, "O": 8}
        return np.array([numbers[atom.element] for atom in atoms]), np.array([atom.position for atom in atoms]), None
    edge = WATERS[size]
    rng = np.random.default_rng(SEED)
    spacing = (18.01528 / 0.602214076 / WATER_DENSITY) ** (1 / 3)  # Å
    half_angle = np.radians(104.52 / 2)
    hydrogen = 0.9572 * np.array([np.sin(half_angle), np.cos(half_angle), 0.0])
    molecule = np.array([[0.0, 0.0, 0.0], hydrogen, hydrogen * [-1, 1, 1]])
    positions = []
    for site in np.ndindex(edge, edge, edge):
        rotation, upper = np.linalg.qr(rng.normal(size=(3, 3)))  # with the signs of R's diagonal: uniform
        positions.append(spacing * (np.array(site) + 0.5) + molecule @ (rotation * np.sign(np.diag(upper))).T)
    return np.tile([8, 1, 1], edge**3), np.concatenate(positions), edge * spacing * np.eye(3)


# -- measuring, in a process of its own ----------------------------------------------------------------------


def measure(size: int, threads: int, settings: dict) -> dict:
    """One row of the results."""
    numbers, positions, cell = build(size)
    result = {"atoms": size, "system": "water box" if cell is not None else "capped alanine", "threads": threads}
    result["energy_forces_ms"] = time_potential(numbers, positions, cell, threads, settings)
    result["peak_memory_MB_energy_forces"] = _peak_memory()
    far = positions + 500.0 / 3**0.5  # Å: neither the cost nor the forces may depend on where the origin is
    result["energy_forces_500A_away_ms"] = time_potential(numbers, far, cell, threads, settings)
    result["md_step_ms"] = time_md(numbers, positions, cell, threads, settings)
    result["peak_memory_MB"] = _peak_memory()
    result["ns_per_day"] = TIMESTEP * 1e-3 * 86400e3 / result["md_step_ms"]["median"]
    result["versions"] = versions()
    return result


def time_potential(numbers, positions, cell, threads: int, settings: dict) -> dict:
    from openmm_so3krates import Potential

    potential = Potential(
        settings["model"], precision=settings["precision"], lr_cutoff=settings["lr_cutoff"], threads=threads
    )
    return _repeat(lambda: potential.compute(numbers, positions, cell=cell), settings, per_call=1)


def time_md(numbers, positions, cell, threads: int, settings: dict) -> dict:
    import openmm
    from openmm import unit

    from openmm_so3krates import SO3kratesForce

    system = openmm.System()
    masses = {1: 1.008, 6: 12.011, 7: 14.007, 8: 15.999}
    for number in numbers:
        system.addParticle(masses[int(number)])
    if cell is not None:
        system.setDefaultPeriodicBoxVectors(*(cell * 0.1))
    system.addForce(
        SO3kratesForce(
            settings["model"],
            atomic_numbers=[int(number) for number in numbers],
            lr_cutoff=0.1 * settings["lr_cutoff"] * unit.nanometer,
            periodic=cell is not None,
            precision=settings["precision"],
        )
    )
    integrator = openmm.LangevinMiddleIntegrator(300, 1.0, TIMESTEP)
    integrator.setRandomNumberSeed(SEED)
    chosen = openmm.Platform.getPlatform(settings["platform"])
    properties = {"Threads": str(threads)} if "Threads" in chosen.getPropertyNames() else {}
    context = openmm.Context(system, integrator, chosen, properties)
    context.setPositions(positions * 0.1)
    context.setVelocitiesToTemperature(300, SEED)
    integrator.step(1)
    began = time.perf_counter()
    integrator.step(1)
    steps = max(1, min(50, int(0.1 / (time.perf_counter() - began))))  # enough for the clock, few for large systems
    return _repeat(lambda: integrator.step(steps), settings, per_call=steps)


def _repeat(function, settings: dict, per_call: int) -> dict:
    """Statistics over repeats, in ms per unit of work, after one call that does not count."""
    import numpy as np

    function()
    times, began = [], time.perf_counter()
    while len(times) < settings["repeats"] and (len(times) < 3 or time.perf_counter() - began < settings["seconds"]):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start) / per_call)
    low, median, high = np.percentile(times, [25, 50, 75])
    return {
        "median": float(median),
        "quartiles": [float(low), float(high)],
        "fastest": min(times),
        "repeats": len(times),
        "calls_per_repeat": per_call,
    }


def _peak_memory() -> float:
    import resource

    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1e6 if sys.platform == "darwin" else 1e3)  # macOS counts bytes


def run_worker(size: int, threads: int, settings: dict) -> dict:
    """`measure` in a fresh process; ends this one with the worker's own message if it fails."""
    job = json.dumps({"size": size, "threads": threads, "settings": settings})
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    process = subprocess.run(
        [sys.executable, __file__, "--worker", job], stdout=subprocess.PIPE, text=True, env=environment
    )
    if process.returncode != 0:
        sys.exit(f"the measurement of {size} atoms failed (see above)")
    return json.loads(process.stdout.splitlines()[-1])


# -- what it was measured on ---------------------------------------------------------------------------------


def describe_machine() -> dict:
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": name,
        "cores": usable,
        "system": platform.platform(),
        "load_average": list(os.getloadavg()),  # other work on the machine makes every number larger
    }


def versions() -> dict:
    from importlib import metadata

    import numpy
    import openmm

    return {
        "openmm-so3krates": metadata.version("openmm-so3krates"),
        "openmm": openmm.version.short_version,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def commit() -> str | None:
    """The commit of the source, "+" for changed files; None outside a git clone."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        process = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return process.stdout.strip() if process.returncode == 0 else None


# -- results -------------------------------------------------------------------------------------------------


def _row(result: dict) -> str:
    def spread(times: dict) -> str:
        return f"{times['median']:.3g} ({times['quartiles'][0]:.3g} to {times['quartiles'][1]:.3g})"

    return (
        f"{result['atoms']:>6} {result['threads']:>7} {spread(result['energy_forces_ms']):>22} "
        f"{spread(result['md_step_ms']):>22} {result['ns_per_day']:>8.3g} {result['peak_memory_MB']:>11.0f}"
    )


def write(path: Path, report: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def plot(report: dict, path: Path) -> None:
    """Time per evaluation and step, and memory, against the number of atoms."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, NullLocator

    colors = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
    figure, (times, memory) = pyplot.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    all_threads = sorted({result["threads"] for result in report["results"]})
    for color, threads in zip(colors * len(all_threads), all_threads, strict=False):
        rows = sorted((row for row in report["results"] if row["threads"] == threads), key=lambda row: row["atoms"])
        atoms = [row["atoms"] for row in rows]
        label = f"{threads} thread{'s' if threads > 1 else ''}"
        for key, style, what in (("energy_forces_ms", "o-", "energy + forces"), ("md_step_ms", "s--", "MD step")):
            middle = [row[key]["median"] for row in rows]
            errors = [
                [row[key]["median"] - row[key]["quartiles"][0] for row in rows],
                [row[key]["quartiles"][1] - row[key]["median"] for row in rows],
            ]
            times.errorbar(
                atoms, middle, errors, fmt=style, color=color, capsize=3, markersize=5, label=f"{what}, {label}"
            )
        memory.plot(atoms, [row["peak_memory_MB"] for row in rows], "o-", color=color, markersize=5, label=label)
    sizes = sorted({row["atoms"] for row in report["results"]})
    for axes in (times, memory):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(size) for size in sizes])
        axes.set_xlabel("atoms (up to 112: capped alanines, from 192: water)")
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.legend(frameon=False, fontsize=9)
    times.set_yscale("log")
    times.set_ylabel("time / ms (median, bars: quartiles)")
    memory.set_ylim(bottom=0)
    memory.set_ylabel("peak memory of the process / MB")
    settings, machine = report["settings"], report["machine"]
    figure.suptitle(
        f"{settings['model']}, {settings['precision']} precision, {settings['lr_cutoff']:g} Å long range, "
        f"on {machine['cpu']}",
        fontsize=11,
    )
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
