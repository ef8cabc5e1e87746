"""Evaluates a box of water on the GPU a few times: what scripts/gpu_check.sh has watched, profiled and timed.

python scripts/gpu_run.py --model so3lr --waters 64 --repeats 2
python scripts/gpu_run.py --model so3lr --waters 512 4096 --repeats 20 --times times.json    # kernel by kernel
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from openmm_so3krates import Potential

SPACING = 3.104  # Å between molecules on a cubic lattice: 1 g/cm³


def water_box(molecules: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At least this many molecules, turned at random, on a lattice: atomic numbers, positions and cell in Å."""
    edge = int(np.ceil(molecules ** (1 / 3)))
    rng = np.random.default_rng(5)
    places = SPACING * np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    molecule = np.array([[0.0, 0.0, 0.0], [0.757, 0.586, 0.0], [-0.757, 0.586, 0.0]])
    turns = np.linalg.qr(rng.normal(size=(len(places), 3, 3)))[0]
    positions = places[:, None, :] + molecule @ turns
    return np.tile([8, 1, 1], len(places)), positions.reshape(-1, 3), np.eye(3) * edge * SPACING


def kernel_times(evaluate, repeats: int) -> dict[str, dict[str, float]]:
    """Calls and microseconds of each kernel in an evaluation, as torch's profiler (CUPTI) sees them."""
    import torch

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(repeats):
            evaluate()
        torch.cuda.synchronize()
    times = {}
    for event in profile.key_averages():
        total = getattr(event, "device_time_total", 0.0) or getattr(event, "cuda_time_total", 0.0)
        if event.count and total:
            times[event.key] = {"calls": event.count / repeats, "microseconds": total / repeats}
    return dict(sorted(times.items(), key=lambda item: -item[1]["microseconds"]))


def measure(potential: Potential, molecules: int, repeats: int, with_kernels: bool) -> dict:
    numbers, positions, cell = water_box(molecules)
    rng = np.random.default_rng(6)

    def evaluate():
        # Moving atoms, as in a simulation.
        return potential.compute(numbers, positions + 0.01 * rng.normal(size=positions.shape), cell=cell)

    result = evaluate()
    assert np.isfinite(result.forces).all() and np.isfinite(result.energy)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        evaluate()
        seconds.append(time.perf_counter() - started)
    report = {
        "atoms": len(numbers),
        "energy_eV": result.energy,
        "milliseconds": 1e3 * statistics.median(seconds) if seconds else None,
        "milliseconds_least": 1e3 * min(seconds) if seconds else None,
    }
    if with_kernels:
        report["kernels"] = kernel_times(evaluate, max(1, repeats // 2))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="so3lr", help="name or file")
    parser.add_argument("--precision", choices=("single", "double"), default="single")
    parser.add_argument("--waters", type=int, nargs="+", default=[8], help="molecules, rounded up to a cube")
    parser.add_argument("--lr-cutoff", type=float, default=10.0, help="Å")
    parser.add_argument("--repeats", type=int, default=1, help="evaluations after the first")
    parser.add_argument("--times", type=Path, metavar="FILE", help="write times of each kernel here; needs torch")
    args = parser.parse_args()
    potential = Potential(args.model, device="cuda", precision=args.precision, lr_cutoff=args.lr_cutoff)
    reports = []
    for molecules in args.waters:
        report = measure(potential, molecules, args.repeats, args.times is not None)
        report.update(implementation=potential.implementation, precision=args.precision)
        reports.append(report)
        print(json.dumps(report, indent=1), flush=True)
        if args.times is not None:
            args.times.write_text(json.dumps(reports, indent=1))  # what there is, should a larger box fail


if __name__ == "__main__":
    main()
