"""Counts the bank conflicts of the CUDA kernels' shared memory, without a GPU.

The kernels run on the CPU (tests/cuda_emulation/bank_conflicts.h) through one evaluation of SO3LR, energy and forces,
and the building of neighbor lists with cells. Per kernel: accesses of a warp to shared memory, the wavefronts they
take, the fewest that so many bytes per lane can take, and what is in excess; then the lines with most of the excess,
innermost first. Counted from addresses, not measured: which accesses the compiler for the GPU joins is guessed from
their places, and lanes that have parted are taken to meet again. Building takes one to two minutes the first time.

    python scripts/bank_conflicts.py                           # SO3LR, single precision, tensor cores
    python scripts/bank_conflicts.py --general                 # with the attention kernels for any shape
    python scripts/bank_conflicts.py --precision double        # takes about a minute
    python scripts/bank_conflicts.py --kernel Atom --lines 20 --markdown
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "cuda")]
DEVICE_CODE = "cuda/device/"
FRAMES = 3  # of a line and those it is inlined into


@dataclass(frozen=True)
class Count:
    """Accesses of warps to shared memory: at one line, reads or writes of some bytes per lane, or a sum of such."""

    kernel: str
    line: str  # with the lines it was inlined into, innermost first
    is_write: bool
    bytes: int  # per lane
    accesses: int
    wavefronts: int
    ideal: int

    @property
    def excess(self) -> int:
        return self.wavefronts - self.ideal


def source_lines(library: str, sites: list[int]) -> dict[int, str]:
    """Of the instructions before these addresses: `block_sums.cuh:72 < attention_forward.cuh:60`; by addr2line.

    Raises `subprocess.CalledProcessError` or `FileNotFoundError` if that fails.
    """
    addresses = "\n".join(hex(site - 1) for site in sites)
    command = ["addr2line", "-a", "-i", "-e", library]
    output = subprocess.run(command, input=addresses, capture_output=True, text=True, check=True).stdout
    lines = {}
    for part in re.split(r"^0x", output, flags=re.MULTILINE)[1:]:
        address, *frames = part.splitlines()
        inside = [re.sub(r" \(discriminator \d+\)", "", frame) for frame in frames if DEVICE_CODE in frame]
        names = [Path(frame).name for frame in inside or frames]
        lines[int(address, 16) + 1] = " < ".join([name for name, _ in groupby(names)][:FRAMES])
    return lines


def added(counts: list[Count], kernel: str, line: str = "") -> Count:
    """The sum of counts under another name."""
    return Count(
        kernel,
        line,
        counts[0].is_write,
        counts[0].bytes,
        sum(count.accesses for count in counts),
        sum(count.wavefronts for count in counts),
        sum(count.ideal for count in counts),
    )


def take(module) -> list[Count]:
    """What a module `counted_...` of the emulation has counted since the last call, by kernel, line and kind."""
    rows = module.take_access_counts()
    lines = source_lines(rows[0]["library"], [row["site"] for row in rows]) if rows else {}
    merged: dict[tuple, list[Count]] = {}
    for row in rows:
        key = (row["kernel"], lines[row["site"]], row["is_write"], row["bytes"])
        merged.setdefault(key, []).append(Count(*key, row["accesses"], row["wavefronts"], row["ideal"]))
    return [added(counts, key[0], key[1]) for key, counts in merged.items()]


def count_evaluation(precision: str, case_name: str, model: str) -> list[Count]:
    """Counts of one evaluation of a system of tests/data, energy and forces, and of neighbor lists with cells."""
    import numpy as np
    from cases import load_case
    from emulated_modules import load
    from emulated_potential import EmulatedPotential

    from openmm_so3krates.models import install

    module = load("counted_so3lr_" + {"single": "float", "double": "double"}[precision])
    case = load_case(case_name)
    potential = EmulatedPotential(
        module,
        install(model),
        case.lr_cutoff,
        dispersion_switch_width=case.dispersion_switch_width,
        allow_untrained_elements=True,
    )
    potential.compute(case.atomic_numbers, case.positions, **case.system)
    cells = np.zeros((1, 3, 3)) if case.cell is None else np.asarray(case.cell)[None]
    lists = module.NeighborLists(module.Device(), cell_threshold=1)
    lists.build(case.positions, np.array([0, case.num_atoms]), cells, 4.5, case.lr_cutoff)
    return take(module)


def table(rows: list[tuple[str, ...]], markdown: bool) -> str:
    """Columns of text, the first row their names; numbers to the right."""
    if markdown:
        head = ["| " + " | ".join(rows[0]) + " |", "|---|" + "--:|" * (len(rows[0]) - 1)]
        return "\n".join(head + ["| " + " | ".join(row) + " |" for row in rows[1:]])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def numbers_of(count: Count) -> tuple[str, ...]:
    excess = f"{100 * count.excess / count.ideal:.1f} %"
    return f"{count.accesses:,}", f"{count.wavefronts:,}", f"{count.ideal:,}", excess


def kernel_table(counts: list[Count], markdown: bool = False) -> str:
    """One row per kernel, by name, and all."""
    rows = [("kernel", "accesses", "wavefronts", "ideal", "excess")]
    for kernel in sorted({count.kernel for count in counts}):
        total = added([count for count in counts if count.kernel == kernel], kernel)
        rows.append((f"`{kernel}`" if markdown else kernel, *numbers_of(total)))
    rows.append(("all", *numbers_of(added(counts, "all"))))
    return table(rows, markdown)


def line_table(counts: list[Count], most: int, markdown: bool = False) -> str:
    """The lines with most wavefronts in excess."""
    worst = sorted((count for count in counts if count.excess), key=lambda count: -count.excess)[:most]
    rows = [("line", "kernel", "access", "accesses", "wavefronts", "ideal", "excess")]
    for count in worst:
        kind = f"{'write' if count.is_write else 'read'} {count.bytes}"
        rows.append((count.line, count.kernel, kind, *numbers_of(count)))
    return table(rows, markdown) if worst else "no conflicts"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("single", "double"), default="single")
    parser.add_argument("--general", action="store_true", help="without the tiled attention kernels")
    cases = sorted(file.stem for file in (ROOT / "tests" / "data").glob("*.npz"))
    parser.add_argument(
        "--case",
        choices=cases,
        default="water_8_smallcell",
        metavar="NAME",
        help="of tests/data (default: %(default)s)",
    )
    parser.add_argument("--kernel", default="", help="only kernels with this in their names")
    parser.add_argument("--lines", type=int, default=15, metavar="N", help="worst lines (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    if shutil.which("addr2line") is None:
        parser.error("addr2line, which finds source lines, is missing: apt install binutils")
    if args.general:
        os.environ["SO3KRATES_TENSOR_CORES"] = "0"
    counts = [c for c in count_evaluation(args.precision, args.case, "so3lr") if args.kernel in c.kernel]
    if not counts:
        parser.error(f"no kernel with {args.kernel!r} in its name accesses shared memory")
    print(kernel_table(counts, args.markdown))
    print()
    print(line_table(counts, args.lines, args.markdown))


if __name__ == "__main__":
    main()
