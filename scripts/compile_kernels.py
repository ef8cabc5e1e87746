"""Compiles the CUDA kernels for models and GPU architectures with every installed NVRTC; needs no GPU.

Prints registers, spills and shared memory of each kernel, as ptxas reports them (shared memory without what a launch
asks for).

    pip install 'nvidia-cuda-nvrtc==13.0.*' 'nvidia-cuda-nvrtc-cu12==12.9.*'
    python scripts/compile_kernels.py                           # SO3LR, both precisions, sm_70 sm_80 sm_90 sm_120
    python scripts/compile_kernels.py run7.safetensors --precision single --architecture 90 --json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
import time
from pathlib import Path

from openmm_so3krates import _engine, cuda

ARCHITECTURES = (70, 80, 90, 120)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What ptxas says of one kernel; stack, spills and shared memory in bytes."""

    name: str
    registers: int
    spill_stores: int
    spill_loads: int
    stack: int
    shared: int
    barriers: int


@dataclasses.dataclass(frozen=True)
class Compiled:
    """All kernels, compiled once."""

    model: str
    precision: str
    nvrtc: str
    architecture: int
    seconds: float
    bytes: int
    kernels: list[Kernel]


def parse_log(log: str) -> list[Kernel]:
    """The kernels in the log of a compilation with --ptxas-options=-v; device functions that are called are no kernels.

    Raises `ValueError` if a kernel is announced but not reported.
    """
    kernels = []
    for part in log.split("Compiling entry function ")[1:]:
        name = part.split("'")[1]
        # Functions that were not inlined are reported in between, each under its own name.
        properties = re.search(
            rf"Function properties for {re.escape(name)}\s.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
            r"(\d+) bytes spill loads",
            part,
            re.DOTALL,
        )
        used = re.search(r"Used (\d+) registers(.*)", part)
        if properties is None or used is None:
            raise ValueError(f"ptxas reports nothing on the kernel {name}:\n{log}")
        shared, barriers = re.search(r"(\d+) bytes smem", used[2]), re.search(r"used (\d+) barriers", used[2])
        stack, stores, loads = (int(number) for number in properties.groups())
        kernels.append(
            Kernel(
                name,
                int(used[1]),
                stores,
                loads,
                stack,
                int(shared[1]) if shared else 0,
                int(barriers[1]) if barriers else 0,
            )
        )
    return sorted(kernels, key=lambda kernel: kernel.name)


def find_compilers() -> list[str]:
    """Paths of the NVRTC libraries of installed Python packages, newest first."""
    folders = [Path(folder) for folder in cuda.nvrtc_folders()]
    files = [file for folder in folders for file in sorted(folder.glob("libnvrtc.so.*"))]
    return [str(file) for file in files if file.suffix[1:].isdigit() and not file.is_symlink()]


def compiles_for(nvrtc: str, architecture: int) -> bool:
    return architecture in _engine.nvrtc_architectures(nvrtc)


def compile_kernels(model: str, precision: str, architecture: int, nvrtc: str) -> Compiled:
    """Raises `openmm_so3krates.cuda.DeviceError` with the compiler's messages."""
    started = time.monotonic()
    code, log = _engine.compile_kernels(_engine.Model.load(model), precision, architecture, nvrtc)
    seconds = time.monotonic() - started
    version = _engine.nvrtc_version(nvrtc)
    return Compiled(model, precision, version, architecture, seconds, len(code), parse_log(log))


def print_table(compiled: Compiled) -> None:
    print(
        f"\n{compiled.model}, {compiled.precision} precision, sm_{compiled.architecture}, NVRTC {compiled.nvrtc}: "
        f"{compiled.bytes / 1024:.0f} KiB in {compiled.seconds:.1f} s"
    )
    print(f"  {'kernel':<32}{'registers':>10}{'spill stores':>14}{'spill loads':>13}{'stack':>8}{'shared':>8}")
    for k in compiled.kernels:
        print(f"  {k.name:<32}{k.registers:>10}{k.spill_stores:>14}{k.spill_loads:>13}{k.stack:>8}{k.shared:>8}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", metavar="MODEL", nargs="*", default=["so3lr"], help="names or files; default: so3lr")
    parser.add_argument("--precision", choices=("single", "double"), nargs="+", default=["single", "double"])
    parser.add_argument("--architecture", type=int, nargs="+", default=ARCHITECTURES, metavar="90")
    parser.add_argument(
        "--nvrtc", nargs="+", metavar="FILE", help="libnvrtc.so to use; default: those of PyPI's wheels"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    args = parser.parse_args()
    compilers = args.nvrtc or find_compilers()
    if not compilers:
        parser.error("no NVRTC found: pip install 'nvidia-cuda-nvrtc==13.0.*' 'nvidia-cuda-nvrtc-cu12==12.9.*'")
    everything = []
    for architecture in args.architecture:
        able = [nvrtc for nvrtc in compilers if compiles_for(nvrtc, architecture)]
        if not able:
            parser.error(f"no NVRTC here compiles for sm_{architecture}; for sm_70 take nvidia-cuda-nvrtc-cu12==12.9.*")
        for nvrtc in able:
            for model in args.models:
                for precision in args.precision:
                    everything.append(compile_kernels(model, precision, architecture, nvrtc))
                    if not args.json:
                        print_table(everything[-1])
    if args.json:
        print(json.dumps([dataclasses.asdict(compiled) for compiled in everything], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
