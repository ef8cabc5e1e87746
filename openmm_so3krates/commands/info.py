"""so3krates info: what is installed, and what a model file holds."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import platform
import sys

_EXAMPLES = """examples:
  so3krates info                    versions, OpenMM platforms, installed models
  so3krates info so3lr              an installed model
  so3krates info run7.safetensors   a model file
"""


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "info",
        help="show versions, platforms and models",
        description="Shows what is installed or, given a model, what it is and where it comes from.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", nargs="?", help="name of an installed model or a model file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    if args.model is None:
        _show_installation()
    else:
        _show_model(args.model)


def _line(key: str, value: object) -> None:
    print(f"{key:<24} {value}")


def _show_installation() -> None:
    from importlib import metadata

    import numpy

    from .. import models

    try:
        version = metadata.version("openmm-so3krates")
    except metadata.PackageNotFoundError:
        version = "not installed (running from its source folder)"
    _line("openmm-so3krates", version)
    _line("Python", f"{platform.python_version()} ({sys.executable})")
    _line("NumPy", numpy.__version__)
    _show_openmm()
    _line("engine", _loads("_engine"))
    _line("OpenMM plugin", _loads("_openmm"))
    _show_force_platforms()
    _show_cuda()
    _line("model folder", models.cache_folder())
    _line("installed models", ", ".join(models.installed()) or "none; try: so3krates install so3lr")


def _show_openmm() -> None:
    try:
        import openmm
    except ImportError as error:
        _line("OpenMM", f"cannot be imported: {error}")
        return
    _line("OpenMM", openmm.version.version)
    _line("OpenMM platforms", ", ".join(_openmm_platforms()))
    for failure in openmm.Platform.getPluginLoadFailures():
        _line("", f"not loaded: {failure.splitlines()[0].rsplit('/', 1)[-1]}")


def _openmm_platforms() -> list[str]:
    try:
        import openmm
    except ImportError:
        return []
    return [openmm.Platform.getPlatform(index).getName() for index in range(openmm.Platform.getNumPlatforms())]


def _show_force_platforms() -> None:
    try:
        from .. import platforms
    except ImportError:
        return  # the line of the plugin says why
    platforms.load()
    _line("SO3kratesForce on", ", ".join(platforms.supported()))
    for name, problem in platforms.problems.items():
        _line("", f"not on {name}: {problem}")


def _show_cuda() -> None:
    try:
        from .. import _engine
    except ImportError:
        return  # the line of the engine says why
    info = _engine.cuda_info()
    driver, nvrtc = info["driver"], info["nvrtc"]
    _line("CUDA driver", f"for CUDA {driver['version']}" if driver["found"] else driver["problem"])
    if driver["found"] and "CUDA" not in _openmm_platforms():
        extra = "cuda13" if int(driver["version"].split(".")[0]) >= 13 else "cuda12"
        _line("", f"OpenMM has no CUDA platform here: pip install 'openmm[{extra}]'")
    for index, device in enumerate(info["devices"]):
        memory = device["memory_bytes"] / 2**30
        _line(f"GPU {index}", f"{device['name']}, compute capability {device['compute_capability']}, {memory:.0f} GiB")
    if nvrtc["found"]:
        _line("NVRTC", f"{nvrtc['version']} ({nvrtc['path']})")
    else:
        first, *more = nvrtc["problem"].splitlines()
        _line("NVRTC", first)
        for line in more:
            _line("", line.strip())


def _loads(module: str) -> str:
    try:
        importlib.import_module(f"openmm_so3krates.{module}")
    except ImportError as error:
        return f"cannot be loaded: {error}"
    return "loads"


def _show_model(name: str) -> None:
    from .. import models
    from ..elements import SYMBOLS
    from ..model_file import read_model_file, read_provenance, sha256_of

    path = models.resolve(name)
    hyperparameters, tensors, metadata = read_model_file(path)
    _line("file", path)
    _line("SHA-256", sha256_of(path))
    for key, value in sorted(read_provenance(metadata).items()):
        _line("source SHA-256" if key == "sha256" else key, value)
    # Free-atom values come from a table, not from training.
    trained = sum(tensor.size for name, tensor in tensors.items() if not name.startswith("dispersion."))
    _line("parameters", f"{trained:,}")
    _line("elements", " ".join(SYMBOLS[z] for z in hyperparameters.elements))
    for field in dataclasses.fields(hyperparameters):
        if field.name != "elements":
            value = getattr(hyperparameters, field.name)
            _line(field.name, " ".join(map(str, value)) if isinstance(value, tuple) else value)
