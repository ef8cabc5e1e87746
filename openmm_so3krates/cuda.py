"""What the CUDA backend needs from Python's side: where packages put NVIDIA's run-time compiler, and its error."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


class DeviceError(RuntimeError):
    """A GPU, its driver or NVIDIA's run-time compiler failed, or is missing; the message says what to do."""


def nvrtc_folders() -> list[str]:
    """Folders that may hold libnvrtc: those of NVIDIA's Python packages (newest CUDA first), then this Python's own.

    The engine looks there before it asks the loader; $SO3KRATES_NVRTC overrides both.
    """
    # A namespace package: its parts may be spread over several site-packages.
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    folders = [root / part for part in ("cu13/lib", "cuda_nvrtc/lib") for root in roots]
    folders.append(Path(sys.prefix) / "lib")
    return [str(folder) for folder in folders if any(folder.glob("libnvrtc.so.*"))]
