"""Runs the Python examples of README.md, with fewer steps. Needs SO3LR (so3krates install so3lr).

python scripts/run_readme.py            # all of them; needs ASE and OpenMM-ML
python scripts/run_readme.py --first    # the first, which needs nothing that the package does not install by itself

It may be run from anywhere, and then runs the openmm_so3krates that is installed, not the one of the source tree.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What makes an example long, and the same in short.
SHORTER = {
    "simulation.minimizeEnergy()": "simulation.minimizeEnergy(maxIterations=5)",
    "simulation.step(1000)": "simulation.step(10)",
}


def examples() -> list[str]:
    """The blocks of Python in README.md, shortened. Raises `ValueError` if nothing of `SHORTER` is in them."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for long, short in SHORTER.items():
        if not any(long in block for block in blocks):
            raise ValueError(f"README.md has no {long!r} any more: mend SHORTER in {__file__}")
        blocks = [block.replace(long, short) for block in blocks]
    return blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", action="store_true", help="only the first example")
    args = parser.parse_args()
    os.chdir(ROOT)  # the examples name files from here
    names = {"__name__": "__main__"}  # one for all: the later examples use what the first has made
    for number, example in enumerate(examples()[: 1 if args.first else None], start=1):
        exec(compile(example, f"README.md, example {number}", "exec"), names)
        print(f"example {number} ran")
    import openmm_so3krates

    print(f"with {openmm_so3krates.__file__}")


if __name__ == "__main__":
    main()
