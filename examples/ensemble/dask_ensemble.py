#!/usr/bin/env python3
"""The replicas of replica.py as tasks of a Dask cluster (pip install "dask[distributed]").

    python dask_ensemble.py ../ac_ala3_nhme.pdb --replicas 4 --workers 2 -- --time 1ps
    python dask_ensemble.py ../ac_ala3_nhme.pdb --replicas 64 --scheduler tcp://host:8786 -- --time 1ns

Without --scheduler the workers are processes on this machine. Every worker needs this package and this folder.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import replica as replicas  # the module beside this one


def run_all(client, source: str, output: str, temperatures: list[float], options: tuple[str, ...]) -> list[int]:
    """Runs one replica per temperature; returns their exit codes. `client`: a dask.distributed.Client."""
    folder = str(Path(__file__).resolve().parent)
    tasks = [
        client.submit(_run, folder, source, output, k, temperature, options, pure=False)
        for k, temperature in enumerate(temperatures)
    ]
    return client.gather(tasks)


def _run(folder: str, *arguments) -> int:
    """In the worker. A process of its own: a run reacts to Ctrl-C and TERM, which only a main thread can."""
    import subprocess

    source, output, k, temperature, options = arguments
    command = [sys.executable, os.path.join(folder, "replica.py"), source, "--output", output]
    command += ["--replica", str(k), "--temperature", f"{temperature:.2f}", "--", *options]
    return subprocess.run(command).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="INPUT")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes on this machine (default 1)")
    parser.add_argument("--scheduler", help="address of a running scheduler instead")
    parser.add_argument("--temperature", type=float, default=300.0, help="K, of the coldest (default 300)")
    parser.add_argument("--hottest", type=float, help="K, of the last replica")
    parser.add_argument("--output", default="ensemble")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, options = parser.parse_args(sys.argv[1:split]), tuple(sys.argv[split + 1 :])

    from dask.distributed import Client, LocalCluster

    temperatures = [
        replicas.temperature_of(k, args.replicas, args.temperature, args.hottest) for k in range(args.replicas)
    ]
    source, output = os.path.abspath(args.source), os.path.abspath(args.output)
    if args.scheduler:
        with Client(args.scheduler) as client:
            codes = run_all(client, source, output, temperatures, options)
    else:
        with LocalCluster(n_workers=args.workers, threads_per_worker=1) as cluster, Client(cluster) as client:
            codes = run_all(client, source, output, temperatures, options)
    for temperature, (mean, error, count) in replicas.average(Path(output)).items():
        print(f"{temperature:7.2f} K  {mean:14.3f} +- {error:.3f} kJ/mol  ({count} replicas)")
    return max(map(abs, codes))  # a replica that was killed has a negative one


if __name__ == "__main__":
    sys.exit(main())
