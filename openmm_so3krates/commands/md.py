"""so3krates md: molecular dynamics from a structure file to a trajectory, a summary and plots."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import CommandError

_EXAMPLES = """examples:
  so3krates md examples/ac_ala3_nhme.pdb --time 1ps --output run
  so3krates md peptide.pdb --charge 1 --temperature 310 --time 0.1ns --save-every 50fs --output run
  so3krates md molecule.xyz --ensemble nve --equilibrate 2ps --time 20ps --output nve
  so3krates md water.pdb --ensemble npt --pressure 1bar --time 10ps --format xtc --output water
  so3krates md --resume --output run                  after Ctrl-C, a crash or a full disk
  so3krates md --resume --time 2ps --output run       make a finished run longer

Quantities carry a unit: 1ps, 500fs, 0.1ns; 12A, 1.2nm. Without one, temperatures are in K, pressures in bar,
frictions in 1/ps and time steps in fs. docs/md.md describes the files that are written.
"""


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "md",
        help="simulate a structure",
        description="Minimises a structure and runs molecular dynamics on it; then analyses and plots the run.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Nothing has a default here: what was not given is told apart from what was, for --resume.
    parser.add_argument(
        "input", metavar="INPUT", nargs="?", type=Path, help="PDB, mmCIF or XYZ file with all hydrogens"
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="folder for everything written")
    parser.add_argument("--overwrite", action="store_true", help="replace the run that is in DIR")
    parser.add_argument("--resume", action="store_true", help="continue the run that is in DIR; INPUT is not needed")

    system = parser.add_argument_group("what is simulated")
    system.add_argument("--model", metavar="MODEL", help="installed model or model file (default so3lr)")
    system.add_argument("--charge", type=float, help="total charge in e (default: from the XYZ file, else 0)")
    system.add_argument("--spin", type=float, help="number of unpaired electrons (default: from the XYZ file, else 0)")
    system.add_argument("--lr-cutoff", metavar="LENGTH", help="cutoff of the long-range terms, or none (default 12A)")
    system.add_argument("--constraints", help="none (default), or hbonds: fix the bonds to hydrogen")

    run_ = parser.add_argument_group("how")
    run_.add_argument("--time", metavar="TIME", help="length of the run, for example 1ps")
    run_.add_argument("--steps", type=int, help="length of the run in steps, instead of --time")
    run_.add_argument("--ensemble", help="nve, nvt (default) or npt")
    run_.add_argument("--temperature", metavar="T", help="of the initial velocities and the bath (default 300K)")
    run_.add_argument("--pressure", metavar="P", help="for npt (default 1bar)")
    run_.add_argument("--friction", metavar="RATE", help="of the Langevin thermostat (default 1/ps)")
    run_.add_argument("--timestep", metavar="TIME", help="(default 0.5fs)")
    run_.add_argument("--equilibrate", metavar="TIME", help="simulate this long first, not recorded (default 0ps)")
    run_.add_argument(
        "--minimize", action=argparse.BooleanOptionalAction, default=None, help="minimise first (default: yes)"
    )
    run_.add_argument("--minimize-tolerance", metavar="FORCE", help="rms force to stop at (default 10kJ/mol/nm)")
    run_.add_argument("--seed", type=int, help="of velocities, thermostat and barostat (default: a new one)")

    output = parser.add_argument_group("output")
    output.add_argument(
        "--save-every",
        metavar="TIME",
        help="between frames and log lines, a time or a number of steps (default: 20 steps or a thousandth of the run)",
    )
    output.add_argument("--format", help="of the trajectory: dcd (default) or xtc")
    output.add_argument(
        "--predictions",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="also write dipole, energy parts and partial charges at each frame (default: no)",
    )
    output.add_argument(
        "--checkpoint-every", metavar="SECONDS", type=float, help="wall-clock time between checkpoints (default 10)"
    )

    computer = parser.add_argument_group("computer")
    computer.add_argument("--platform", help="OpenMM platform (default: CUDA, or else CPU)")
    computer.add_argument("--precision", help="single or double (default: single, on Reference double)")
    computer.add_argument("--threads", type=int, help="CPU threads (default: all)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    from ..md.errors import RunError
    from ..md.job import resume_run, start_run

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        _check_combination(args)
        request = _request(args)
        if args.resume:
            signal_number = resume_run(args.output, args.input, request, say)
        else:
            signal_number = start_run(args.input, args.output, request, args.overwrite, say)
    except RunError as error:
        raise CommandError(str(error)) from error
    if signal_number is not None:
        sys.exit(128 + signal_number)  # as shells report a process that a signal ended


def _check_combination(args: argparse.Namespace) -> None:
    if args.resume and args.overwrite:
        raise CommandError("--resume continues a run, --overwrite deletes it; give one of them")
    if args.input is None and not args.resume:
        raise CommandError("name the structure to simulate, for example: so3krates md peptide.pdb --output run")
    if args.time is not None and args.steps is not None:
        raise CommandError("--time and --steps both say how long the run is; give one of them")


def _request(args: argparse.Namespace):
    from ..md import quantities as q
    from ..md.errors import SettingsError
    from ..md.request import Request

    def quantity(name: str, units: dict[str, float], default_unit: str | None = None) -> float | None:
        text = getattr(args, name)
        if text is None:
            return None
        try:
            return q.parse_quantity(text, units, default_unit)
        except SettingsError as error:
            raise SettingsError(f"--{name.replace('_', '-')} {error}") from None

    options = {
        "model": args.model,
        "charge": args.charge,
        "spin": args.spin,
        "constraints": args.constraints,
        "ensemble": args.ensemble,
        "temperature": quantity("temperature", q.TEMPERATURE, "K"),
        "pressure": quantity("pressure", q.PRESSURE, "bar"),
        "friction": quantity("friction", q.RATE, "/ps"),
        "timestep": quantity("timestep", q.TIME, "fs"),
        "minimize": args.minimize,
        "minimize_tolerance": quantity("minimize_tolerance", q.FORCE, "kJ/mol/nm"),
        "seed": args.seed,
        "format": args.format,
        "predictions": args.predictions,
        "checkpoint_seconds": args.checkpoint_every,
        "platform": args.platform,
        "precision": args.precision,
        "threads": args.threads,
    }
    options = {name: value for name, value in options.items() if value is not None}
    if args.lr_cutoff is not None:
        none = args.lr_cutoff.lower() == "none"
        options["lr_cutoff"] = None if none else quantity("lr_cutoff", q.LENGTH)
    in_steps = args.save_every is not None and args.save_every.lstrip("-").isdigit()
    return Request(
        time=quantity("time", q.TIME),
        steps=args.steps,
        equilibrate=quantity("equilibrate", q.TIME),
        save_time=None if in_steps else quantity("save_every", q.TIME),
        save_steps=int(args.save_every) if in_steps else None,
        options=options,
    )
