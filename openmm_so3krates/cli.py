"""The command line, `so3krates COMMAND ...`.

Each command is a module of `openmm_so3krates.commands` with `add_parser(subparsers)` and `run(args)`. Those
modules import anything heavy only in `run`, so that help comes at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from .commands import CommandError

# In the order of the help.
_MODULES = ("import_model", "install", "info", "md", "benchmark")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, or 2 after an error (told in one line on stderr), or 130 after Ctrl-C."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 2
    try:
        args.run(args)
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has left (`so3krates info | head`); keep the interpreter from flushing into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if args.debug or not _is_known(error):
            traceback.print_exc()
        print(f"so3krates {args.command}: {_one_line(error)}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="so3krates",
        description="SO3krates and SO3LR force fields in OpenMM.",
        epilog="first steps:\n"
        "  so3krates install so3lr            get the weights of SO3LR\n"
        "  so3krates md peptide.pdb --model so3lr --time 1ps --output run\n"
        "\n'so3krates COMMAND --help' tells more about a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    subparsers = parser.add_subparsers(metavar="COMMAND", dest="command")
    for name in _MODULES:
        module_name = f"{__package__}.commands.{name}"
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name != module_name:
                raise
            continue  # an installation without this command
        module.add_parser(subparsers)
    for command in subparsers.choices.values():
        # Also after the command; suppressed, so that it does not undo one given before it.
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _is_known(error: Exception) -> bool:
    """Errors whose message alone tells the user what to do; ModelError and InputError are ValueErrors."""
    known = (CommandError, ValueError, OSError, ImportError)
    return isinstance(error, known) or type(error).__name__ in ("OpenMMException", "DeviceError")


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and not isinstance(error, CommandError):
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
