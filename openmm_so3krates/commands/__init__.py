"""The commands of `so3krates`, one module each: `add_parser(subparsers)` and `run(args)`.

`add_parser` adds its parser and calls `set_defaults(run=run)` on it; `run` prints to stdout and raises on
failure. Heavy imports belong into `run`.
"""


class CommandError(Exception):
    """The command cannot go on; the message says why and what to do, in one line."""
