"""Where an evaluation's time goes, stage by stage, and how close that is to what the processor can do."""

from __future__ import annotations

import sys

from ..model_file import read_model_file
from ..models import resolve
from .cost_model import Fit, fit
from .flops import stage_flops
from .measure import OURS, BenchmarkError, Program, Settings, make_job, run
from .systems import Rung
from .tables import table

_SMALL = 0.005  # shares below are added up in the table


def profile(rung: Rung, settings: Settings, threads: int) -> dict:
    """One system: stages with their times in ms and operations, numbers of pairs, the processor's measured peak."""
    hyperparameters = read_model_file(resolve(settings.model))[0]
    system = rung.build()
    job = {
        **make_job(system, settings),
        "threads": threads,
        "repeats": settings.repeats,
        "cutoff": hyperparameters.cutoff,
    }
    result = run(Program(OURS, "profile_runner.py", sys.executable, "cpu"), job, settings.timeout)
    if "error" in result:
        raise BenchmarkError(f"{len(system.atomic_numbers)} atoms could not be profiled: {result['error']}")
    flops = {}
    if settings.precision == "single":  # double precision computes networks where single has splines
        flops = stage_flops(hyperparameters, len(system.atomic_numbers), result["pairs"], result["far_pairs"])
    for entry in result["stages"]:
        entry["flops"] = flops.get((entry["stage"], entry["layer"]))
    return {"system": system.name, "atoms": len(system.atomic_numbers), "threads": threads, **result}


def stage_table(one: dict) -> str:
    """Stages, layers added up, in the order they run."""
    merged: dict[str, list[float]] = {}
    for entry in one["stages"]:
        sums = merged.setdefault(entry["stage"], [0.0, 0.0])
        sums[0] += entry["ms"]
        sums[1] += entry["flops"] or 0.0
    lines, rest = [], 0.0
    for stage, (ms, flops) in merged.items():
        if ms < _SMALL * one["total_ms"]:
            rest += ms
        else:
            lines.append([stage, *_numbers(ms, flops, one)])
    lines.append(["the rest", *_numbers(rest, 0.0, one)])
    lines.append(["all", *_numbers(one["total_ms"], sum(flops for _, flops in merged.values()), one)])
    header = ["stage", "ms", "share/%", "GFLOP", "GFLOP/s", "of the peak/%"]
    return (
        f"{one['system']}, {one['atoms']} atoms, {one['threads']} threads, {one['implementation']}: {one['pairs']} "
        f"pairs, {one['far_pairs'] / one['atoms']:.0f} far neighbors per atom\n"
        f"measured peak of matrix products: {one['peak_gflops']:.0f} GFLOP/s\n" + table(header, lines)
    )


def _numbers(ms: float, flops: float, one: dict) -> list[str]:
    numbers = [f"{ms:.3g}", f"{100 * ms / one['total_ms']:.1f}"]
    if not flops:
        return [*numbers, "", "", ""]
    rate = flops / 1e9 / (1e-3 * ms)
    return [*numbers, f"{flops / 1e9:.3g}", f"{rate:.3g}", f"{100 * rate / one['peak_gflops']:.0f}"]


def stage_fits(profiles: list[dict]) -> dict[str, Fit]:
    """t = a + b N of each stage, from three profiled systems or more."""
    if len({one["atoms"] for one in profiles}) < 3:
        return {}
    stages = list(dict.fromkeys(entry["stage"] for one in profiles for entry in one["stages"]))
    fits = {}
    for stage in stages:
        times = [sum(entry["ms"] for entry in one["stages"] if entry["stage"] == stage) for one in profiles]
        if all(times):
            fits[stage] = fit([one["atoms"] for one in profiles], times)
    return fits


def fit_table(fits: dict[str, Fit]) -> str:
    lines = [
        [stage, f"{f.fixed_ms:.3g}", f"{f.per_atom_us:.3g}", f"{100 * f.largest_deviation:.0f}"]
        for stage, f in fits.items()
    ]
    return table(["stage", "a/ms", "b/(us/atom)", "largest deviation/%"], lines)
