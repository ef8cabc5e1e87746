"""What a measurement was made on: processor, memory, system, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path


def describe_machine() -> dict:
    """Processor, usable cores, memory in GiB, system, load averages and GPUs, as JSON can hold them."""
    cpuinfo = _cpuinfo()
    return {
        "cpu": cpuinfo.get("model name") or platform.processor() or platform.machine(),
        "cpu_family_model_stepping": [cpuinfo.get(key) for key in ("cpu family", "model", "stepping")],
        "instruction_sets": [name for name in ("avx2", "fma", "avx512f", "asimd") if name in _flags(cpuinfo)],
        "cores": usable_cores(),
        "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        # other work on the machine makes every number larger
        "load_average": list(os.getloadavg()),
        "gpus": gpus(),
    }


def usable_cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[dict]:
    """The GPUs the engine finds: name, compute capability, memory in bytes."""
    from openmm_so3krates import _engine

    return _engine.cuda_info()["devices"]


def versions() -> dict[str, str]:
    names = ("openmm-so3krates", "openmm", "numpy")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return {**found, "python": platform.python_version()}


def commit() -> str | None:
    """The commit of the package's source, "+" after it for changed files; None outside a git clone of the project."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        process = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return process.stdout.strip() if process.returncode == 0 else None


def _cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _flags(cpuinfo: dict[str, str]) -> set[str]:
    return set((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())
