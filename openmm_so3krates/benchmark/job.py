"""`so3krates benchmark` from its arguments to its files."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
from pathlib import Path

from tqdm import tqdm

from .. import models
from ..model_file import sha256_of
from . import cost_model, machine, measure, plots, potentials, results, tables
from .measure import BenchmarkError, Settings
from .systems import LADDER, Rung

_QUICK_SIZES = (22, 192)
_PROFILE_SIZES = (42, 192, 1536)
_GPU_PLATFORMS = ("CUDA", "OpenCL")


def benchmark(args: argparse.Namespace) -> None:
    """Measures, prints and writes; raises `BenchmarkError` if nothing can be measured as asked."""
    ladder, settings, output = _rungs(args, _QUICK_SIZES), _settings(args), _output(args, "benchmark.json")
    folder = None if args.peers is None else args.peers.absolute()
    peers = [] if folder is None else measure.peers_in(folder, settings.devices, needed=not args.openmm_ml)
    peers += potentials.programs(args.openmm_ml, settings, folder)
    programs = measure.measurements(settings, peers)
    report = _report("so3krates benchmark", settings)
    rows: list[measure.Row] = []
    report["results"] = rows
    _warn_of_load()
    total = len(ladder) * len(programs) * len(settings.threads)
    with tqdm(total=total, disable=None, unit="run") as bar:
        for rung in ladder:
            bar.set_description(f"{rung.name}, {rung.atoms} atoms")
            for new in measure.measure(rung, programs, settings):
                rows.extend(new)
                results.write(output, report)  # what has been measured is kept if a later size fails
                bar.update()
    print(tables.times(rows, measure.model_name(settings.model)))
    if (accuracy := tables.accuracy(rows)) is not None:
        print("\nSame model, same atoms: time over ours, and forces against ours in double precision (eV/Å, eV)")
        print(accuracy)
    if fits := cost_model.fits(rows):
        print("\nFitted: t = a + b N")
        print(tables.fits(fits))
        report["fits"] = [
            {**dict(zip(("program", "device", "threads", "method"), key, strict=True)), **dataclasses.asdict(fit)}
            for key, fit in fits.items()
        ]
        results.write(output, report)
    picture = output.with_suffix(".png")
    plots.draw(report, picture)
    print(f"\nwritten: {output}, {output.with_suffix('.csv')}, {picture}\n")
    print(tables.nanoseconds_per_day(rows, settings.timestep))
    if all(row.error for row in rows):
        raise BenchmarkError(f"nothing could be measured; the first reason: {rows[0].error}")


def profile(args: argparse.Namespace) -> None:
    import json

    from . import profile as stages

    if not args.sizes:
        args.sizes = [size for size in _PROFILE_SIZES if size <= args.max_atoms]
    ladder, settings, output = _rungs(args, _QUICK_SIZES), _settings(args), _output(args, "profile.json")
    report = _report("so3krates benchmark --profile", settings)
    report["profiles"] = []
    _warn_of_load()
    runs = [(rung, threads) for rung in ladder for threads in settings.threads]
    for rung, threads in tqdm(runs, disable=None, unit="run"):
        report["profiles"].append(stages.profile(rung, settings, threads))
    for one in report["profiles"]:
        print(stages.stage_table(one) + "\n")
    for threads in settings.threads:
        if fits := stages.stage_fits([one for one in report["profiles"] if one["threads"] == threads]):
            print(f"Fitted with {threads} threads: t = a + b N\n{stages.fit_table(fits)}\n")
            report.setdefault("fits", []).extend(
                {"stage": stage, "threads": threads, **dataclasses.asdict(fit)} for stage, fit in fits.items()
            )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    plots.draw_profile(report, output.with_suffix(".png"))
    print(f"written: {output}, {output.with_suffix('.png')}")


def gpu_memory(args: argparse.Namespace) -> None:
    from . import gpu_memory as memory

    ladder, settings = _rungs(args, _QUICK_SIZES), _settings(args)
    found = [memory.gpu_memory(rung, settings) for rung in tqdm(ladder, disable=None, unit="system")]
    print(memory.memory_table(found))
    print(memory.capacities(found[-1]))
    print("Computed, not measured: what the engine asks the driver for. The driver's own part comes on top.")
    for gpu in machine.gpus():
        print(f"{gpu['name']}: {gpu['memory_bytes'] / 1e9:.1f} GB")


def compare(first: Path, second: Path) -> None:
    a, b = results.read(first), results.read(second)
    for name, report in (("first", a), ("second", b)):
        host = report["machine"]
        print(f"{name:<7} {host['cpu']}, {report['commit'] or 'no commit'}, {report['date']}")
    if a["machine"]["cpu"] != b["machine"]["cpu"]:
        print("These are different machines.")
    for what, one, other in (
        ("models", a["model_sha256"], b["model_sha256"]),
        ("long-range cutoffs", a["settings"]["lr_cutoff"], b["settings"]["lr_cutoff"]),
    ):
        if one != other:
            raise BenchmarkError(f"these two timed different {what} ({one} and {other})")
    pairs = results.compare(a, b)
    if not pairs:
        raise BenchmarkError(f"{first} and {second} have no measurement in common")
    print(tables.comparison(pairs))
    print("faster: the first one's median over the second's")


def _rungs(args: argparse.Namespace, quick: tuple[int, ...]) -> list[Rung]:
    if args.sizes:
        known = {rung.atoms: rung for rung in LADDER}
        if unknown := [size for size in args.sizes if size not in known]:
            raise BenchmarkError(
                f"there is no system of {unknown[0]} atoms; the sizes are {', '.join(map(str, sorted(known)))}"
            )
        return [known[size] for size in sorted(set(args.sizes))]
    sizes = [rung for rung in LADDER if rung.atoms <= args.max_atoms and (not args.quick or rung.atoms in quick)]
    if not sizes:
        raise BenchmarkError(f"--max-atoms {args.max_atoms}: the smallest system has {LADDER[0].atoms} atoms")
    return sizes


def _settings(args: argparse.Namespace) -> Settings:
    models.resolve(args.model)  # no model: say so before anything starts
    cores = machine.usable_cores()
    threads = tuple(dict.fromkeys(args.threads or [cores]))
    if max(threads) > cores:
        raise BenchmarkError(f"--threads {max(threads)}: this process may use {cores} processors")
    return Settings(
        model=args.model,
        precision=args.precision,
        lr_cutoff=args.lr_cutoff,
        timestep=args.timestep,
        devices=tuple(args.devices or (["cpu", "cuda"] if machine.gpus() else ["cpu"])),
        platforms=tuple(args.platforms or _platforms()),
        threads=threads,
        repeats=args.repeats or (3 if args.quick else 15),
        seconds=args.seconds or (0.5 if args.quick else 10.0),
        timeout=args.timeout,
    )


def _platforms() -> list[str]:
    import openmm

    loaded = [openmm.Platform.getPlatform(index).getName() for index in range(openmm.Platform.getNumPlatforms())]
    # OpenCL runs on GPUs and, with a driver for them, on processors; without any it would only fail.
    return [name for name in loaded if name == "CPU" or (name in _GPU_PLATFORMS and machine.gpus())]


def _output(args: argparse.Namespace, default: str) -> Path:
    output = args.output or Path(default)
    if output.suffix != ".json":
        raise BenchmarkError(f"{output}: the name of the results ends in .json; CSV and plot go beside it")
    return output


def _report(name: str, settings: Settings) -> dict:
    return {
        "benchmark": name,
        "format": results.FORMAT,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "versions": machine.versions(),
        "commit": machine.commit(),
        "model_sha256": sha256_of(models.resolve(settings.model)),
        "settings": dataclasses.asdict(settings),
    }


def _warn_of_load() -> None:
    load = machine.describe_machine()["load_average"][0]
    if load > 0.5:
        print(f"note: the load average is {load:.1f}; what else runs on this machine makes every number worse")
