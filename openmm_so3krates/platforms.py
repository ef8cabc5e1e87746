"""SO3kratesForce on OpenMM's GPU platforms: a library for each, loaded where OpenMM has that platform."""

from __future__ import annotations

from pathlib import Path

import openmm

from . import _openmm
from .cuda import nvrtc_folders

# There the force is computed by the CPU, whatever the platform's own device is.
COMPUTED_BY_CPU = ("OpenCL", "HIP")
GPU_PLATFORMS = ("CUDA", *COMPUTED_BY_CPU)

# Platforms that OpenMM has but SO3kratesForce cannot use, and why.
problems: dict[str, str] = {}


def supported() -> list[str]:
    """OpenMM's platforms here on which SO3kratesForce can be computed."""
    return [name for name in _present() if _openmm.supports(name)]


def load() -> None:
    """Makes SO3kratesForce known to every platform that OpenMM has loaded. May be called again after more were.

    Never raises: what cannot be loaded leaves the other platforms as they are, and its reason in `problems`.
    """
    present = _present()
    if "CUDA" in present:
        _openmm.set_nvrtc_folders(nvrtc_folders())
    for name in GPU_PLATFORMS:
        if name not in present or _openmm.supports(name):
            continue
        problems.pop(name, None)
        library = Path(_openmm.__file__).with_name(f"libSO3kratesOpenMM{name}.so")
        if not library.exists():
            problems[name] = (
                "openmm_so3krates was built without it, because OpenMM's headers for GPU platforms were missing; "
                "reinstall it beside OpenMM's PyPI wheel (pip install openmm)"
            )
            continue
        try:
            openmm.Platform.loadPluginLibrary(str(library))
        except openmm.OpenMMException as error:
            problems[name] = f"{library.name} cannot be loaded: {error}"


def _present() -> list[str]:
    return [openmm.Platform.getPlatform(index).getName() for index in range(openmm.Platform.getNumPlatforms())]
