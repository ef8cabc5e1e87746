#!/usr/bin/env python3
"""One replica of an ensemble of independent runs, or the average over all of them.

    python replica.py peptide.pdb --replica 3 --output ensemble -- --time 10ps
    python replica.py --average --output ensemble

Replica k runs `so3krates md` in ensemble/replica_003 with seed 1000 + k, and with --replicas and --hottest at its own
temperature of a geometric ladder. What comes after "--" goes to `so3krates md` as it is. Called again, it goes on where
it stopped: a job that was killed is simply submitted again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from openmm_so3krates import cli

FIRST_SEED = 1000


def folder_of(output: Path, replica: int) -> Path:
    return output / f"replica_{replica:03d}"


def temperature_of(replica: int, replicas: int, coldest: float, hottest: float | None) -> float:
    """K: the same for all without `hottest`, else a geometric ladder from coldest to hottest."""
    if hottest is None or replicas < 2:
        return coldest
    return coldest * (hottest / coldest) ** (replica / (replicas - 1))


def run_replica(source: str, output: str, replica: int, temperature: float, options: tuple[str, ...] = ()) -> int:
    """Runs or continues one replica; returns the exit code of `so3krates md`."""
    folder = folder_of(Path(output), replica)
    if (folder / "run.json").exists():
        return cli.main(["md", "--resume", "--output", str(folder)])
    settings = ["--seed", str(FIRST_SEED + replica), "--temperature", f"{temperature:.2f}"]
    return cli.main(["md", source, "--output", str(folder), *settings, *options])


def average(output: Path, quantity: str = "potential_kJ_per_mol") -> dict[float, tuple[float, float, int]]:
    """Temperature in K -> mean over its replicas, standard error (nan for one), number of replicas."""
    means: dict[float, list[float]] = {}
    for file in sorted(output.glob("replica_*/summary.json")):
        summary = json.loads(file.read_text())
        means.setdefault(summary["settings"]["temperature"], []).append(summary["results"][quantity]["mean"])
    return {
        temperature: (
            float(np.mean(values)),
            float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan"),
            len(values),
        )
        for temperature, values in sorted(means.items())
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="INPUT", nargs="?", help="structure file")
    parser.add_argument("--replica", type=int, default=0, help="number of this replica, from 0")
    parser.add_argument("--replicas", type=int, default=1, help="how many there are, for the temperatures")
    parser.add_argument("--temperature", type=float, default=300.0, help="K, of the coldest (default 300)")
    parser.add_argument("--hottest", type=float, help="K, of the last replica (default: all have one temperature)")
    parser.add_argument("--output", type=Path, default=Path("ensemble"))
    parser.add_argument("--average", action="store_true", help="print averages over the replicas that have ended")
    # argparse by itself would take the options after "--" for more inputs.
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, options = parser.parse_args(sys.argv[1:split]), tuple(sys.argv[split + 1 :])
    if args.average:
        for temperature, (mean, error, count) in average(args.output).items():
            print(f"{temperature:7.2f} K  {mean:14.3f} +- {error:.3f} kJ/mol  ({count} replicas)")
        return 0
    if args.source is None:
        parser.error("give a structure file, or --average")
    temperature = temperature_of(args.replica, args.replicas, args.temperature, args.hottest)
    return run_replica(args.source, str(args.output), args.replica, temperature, options)


if __name__ == "__main__":
    sys.exit(main())
