"""so3krates benchmark: speed and memory on this machine, beside other programs that run the same model."""

from __future__ import annotations

import argparse
from pathlib import Path

_EXAMPLES = """examples:
  so3krates benchmark                                 up to 5184 atoms; a few minutes
  so3krates benchmark --quick                         seconds
  so3krates benchmark --sizes 22 1536 --threads 1 2
  so3krates benchmark --peers /opt/peers              beside so3krates-torch and the JAX code (docs/benchmarks.md)
  so3krates benchmark --peers /opt/peers --openmm-ml so3lr mace-off23-small    other models in OpenMM
  so3krates benchmark --profile                       where an evaluation's time goes
  so3krates benchmark --gpu-memory --max-atoms 100000  what fits on a GPU; needs none
  so3krates benchmark --compare before.json after.json

Written are NAME.json, NAME.csv and NAME.png. Each measurement runs in a process of its own, tied to as many processors
as it has threads. Let nothing else run meanwhile. docs/benchmarks.md says what exactly is timed.
"""


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "benchmark",
        help="measure speed and memory",
        description="Times energies + forces and OpenMM steps against the number of atoms, measures memory, and "
        "compares speed and accuracy with other programs where they are installed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--profile", action="store_true", help="time of each stage of the CPU engine instead")
    what.add_argument("--gpu-memory", action="store_true", help="GPU memory that each system takes, computed, instead")
    what.add_argument("--compare", metavar="FILE", nargs=2, type=Path, help="print two results side by side instead")
    parser.add_argument("--max-atoms", type=_count, default=5184, metavar="N", help="largest system (default 5184)")
    parser.add_argument("--sizes", type=_count, nargs="+", metavar="N", help="only these numbers of atoms")
    parser.add_argument("--quick", action="store_true", help="two small systems, three repeats")
    parser.add_argument("--model", default="so3lr", help="installed model or model file (default so3lr)")
    parser.add_argument("--precision", choices=("single", "double"), default="single")
    parser.add_argument(
        "--lr-cutoff", type=_positive, default=12.0, metavar="A", help="long-range cutoff in Å (default 12)"
    )
    parser.add_argument("--timestep", type=_positive, default=0.5, metavar="FS", help="of the ns/day (default 0.5 fs)")
    parser.add_argument("--threads", type=_count, nargs="+", metavar="N", help="(default: all processors)")
    parser.add_argument("--devices", nargs="+", metavar="D", help="cpu, cuda (default: cpu, and cuda if there is one)")
    parser.add_argument(
        "--platforms", nargs="+", metavar="P", help="OpenMM platforms of the steps (default: CPU, and GPUs' if loaded)"
    )
    parser.add_argument(
        "--peers", type=Path, metavar="DIR", help="folder with the peers' environments, see docs/benchmarks.md"
    )
    parser.add_argument(
        "--openmm-ml",
        nargs="+",
        default=[],
        metavar="NAME[@ENV][,KEY=VALUE]",
        help="potentials of OpenMM-ML, each in its own environment under --peers; so3lr and so3krates in this one",
    )
    parser.add_argument("--repeats", type=_count, help="at most this many (default 15)")
    parser.add_argument("--seconds", type=_positive, help="about this long per measurement (default 10)")
    parser.add_argument(
        "--timeout", type=_positive, default=600.0, metavar="S", help="give a measurement up after this (default 600)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="NAME.json", help="(default benchmark.json, with --profile profile.json)"
    )
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text}")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {text}")
    return number


def run(args: argparse.Namespace) -> None:
    from ..benchmark import job

    if args.compare:
        job.compare(*args.compare)
    elif args.gpu_memory:
        job.gpu_memory(args)
    elif args.profile:
        job.profile(args)
    else:
        job.benchmark(args)
