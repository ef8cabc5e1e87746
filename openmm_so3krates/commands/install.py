"""so3krates install: a published model by name."""

from __future__ import annotations

import argparse

_EXAMPLES = """examples:
  so3krates install so3lr
      afterwards "so3lr" names the model everywhere: --model so3lr, SO3kratesForce("so3lr", ...)
  so3krates install so3lr --from so3krates_torch-0.2.1-py3-none-any.whl
      without access to a package index
"""


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "install",
        help="get a published model by name (so3lr)",
        description="Gets a published model and keeps it under its name in the cache folder ($SO3KRATES_HOME, or "
        "$XDG_CACHE_HOME/openmm-so3krates, or ~/.cache/openmm-so3krates). Downloads with pip, so your index, proxy "
        "and certificate settings hold; version and SHA-256 are pinned.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="so3lr")
    parser.add_argument(
        "--from", dest="source", metavar="FILE", help="the wheel, or the checkpoint inside it, already on disk"
    )
    parser.add_argument("--force", action="store_true", help="install again even if it is there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    from .. import models
    from ..model_file import read_model_file, read_provenance, sha256_of

    path = models.install(args.name, force=args.force, source=args.source, report=print)
    provenance = read_provenance(read_model_file(path)[2])
    print(f"  from        {provenance.get('source', 'unknown')}")
    print(f"  license     {provenance.get('license', 'unknown')}")
    print(f"  please cite {provenance.get('citation', 'unknown')}")
    print(f"  SHA-256     {sha256_of(path)}")
