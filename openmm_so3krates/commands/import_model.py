"""so3krates import: another program's model becomes a model file."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import CommandError

_EXAMPLES = """examples:
  so3krates import params.pkl -o so3lr.safetensors
      SO3LR as its own repository ships it (hyperparameters.json lies beside params.pkl)
  so3krates import so3lr.model -o so3lr.safetensors
      the checkpoint inside the package so3krates-torch
  so3krates import run7/params.pkl --hyperparameters run7/config.json --elements H,C,N,O -o run7.safetensors
      a model of your own, trained with mlff

Nothing in the source file is executed: pickles are read by a reader that knows only plain data.
"""


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "import",
        help="convert a published model (mlff / SO3LR, so3krates-torch) to a model file",
        description="Converts a model of mlff (params.pkl with hyperparameters.json; SO3LR's original form) or of "
        "so3krates-torch (a whole-model checkpoint) to a model file of openmm-so3krates.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SRC", help="params.pkl, a folder with one, or a checkpoint")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="model file to write (.safetensors)")
    parser.add_argument("--hyperparameters", metavar="FILE", help="settings of an mlff model, if not beside params.pkl")
    parser.add_argument(
        "--elements",
        metavar="LIST",
        help="elements the model was trained for, like H,C,N,O (default: those whose energy scale has moved)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    from ..elements import SYMBOLS, parse_elements
    from ..importers import import_model
    from ..model_file import sha256_of

    output = Path(args.output)
    if output.suffix != ".safetensors":
        raise CommandError(f"{output}: the name of a model file ends in .safetensors")
    if output.exists() and not args.force:
        raise CommandError(f"{output} exists already; --force overwrites it")
    elements = None if args.elements is None else parse_elements(args.elements)
    model = import_model(args.source, args.hyperparameters, elements)
    model.write(output)
    symbols = " ".join(SYMBOLS[z] for z in model.hyperparameters.elements)
    print(f"wrote {output}")
    print(f"  elements    {symbols}")
    for key in ("model", "license", "citation"):
        if key in model.provenance:
            print(f"  {key:<11} {model.provenance[key]}")
    print(f"  SHA-256     {sha256_of(output)}")
