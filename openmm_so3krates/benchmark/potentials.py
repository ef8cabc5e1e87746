"""Potentials of OpenMM-ML as programs to time: `so3krates benchmark --openmm-ml NAME[@ENVIRONMENT][,KEY=VALUE…]`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from .. import models
from ..model_file import sha256_of
from .measure import BenchmarkError, Program, Settings

_OURS = ("so3lr", "so3krates")
_RUNNER = "openmm_ml_runner.py"
_SET_UP = "make it with benchmarks/peers/set_up_openmm_ml.sh of the source (docs/benchmarks.md)"


def programs(texts: list[str], settings: Settings, peers: Path | None) -> list[Program]:
    """One program for each potential and OpenMM platform.

    `texts`: names of OpenMM-ML with arguments, as "mace-off23-small,precision=single"; `modelPath` goes to
    `MLPotential`, anything else to its `createSystem`, `calculator=MODULE:CALLABLE[:ARGUMENT]` as what the callable
    returns. Ours, "so3lr" and "so3krates", run in this Python with the benchmark's cutoff, precision and, "so3krates",
    model unless told otherwise; any other one with PEERS/openmm-ml/ENVIRONMENT (default: the name).

    Raises `BenchmarkError`: no such environment, OpenMM-ML missing here, an argument that is not KEY=VALUE, the same
    twice.
    """
    found = [program for text in texts for program in _programs(text, settings, peers)]
    labels = [(program.name, program.device) for program in found]
    for label in labels:
        if labels.count(label) > 1:
            raise BenchmarkError(f"--openmm-ml: {label[0].removeprefix('OpenMM-ML ')} is there twice")
    return found


def _programs(text: str, settings: Settings, peers: Path | None) -> list[Program]:
    first, *given = text.split(",")
    name, _, environment = first.partition("@")
    arguments = dict(_argument(text, one) for one in given)
    label = ",".join([first, *(_short(key, value) for key, value in arguments.items() if key != "calculator")])
    if name in _OURS and not environment:
        python = sys.executable
        if importlib.util.find_spec("openmmml") is None:
            raise BenchmarkError(f"--openmm-ml {text}: OpenMM-ML is not there for {python}: pip install openmmml")
        arguments = {"lrCutoff": 0.1 * settings.lr_cutoff, "precision": settings.precision, **arguments}
        if name == "so3krates":
            arguments["modelPath"] = models.lasting_name(arguments.get("modelPath", settings.model))
        file = models.resolve(arguments.get("modelPath", name))
        same = sha256_of(file) == sha256_of(models.resolve(settings.model))
        model, precision = "" if same else label, str(arguments["precision"])
    else:
        python = _python(text, environment or name, peers)
        model, precision = label, str(arguments.get("precision", "its own"))
    job = {
        "potential": name,
        "potential_arguments": {key: value for key, value in arguments.items() if key == "modelPath"},
        "system_arguments": {key: value for key, value in arguments.items() if key != "modelPath"},
    }
    return [
        Program(f"OpenMM-ML {label}", _RUNNER, python, f"OpenMM {platform}", model, precision, job)
        for platform in settings.platforms
    ]


def _python(text: str, environment: str, peers: Path | None) -> str:
    if peers is None:
        raise BenchmarkError(
            f"--openmm-ml {text} needs --peers DIR, with an environment in DIR/openmm-ml/{environment}: {_SET_UP}"
        )
    python = peers / "openmm-ml" / environment / "bin/python"
    if not python.exists():
        raise BenchmarkError(f"--openmm-ml {text}: there is no {python}: {_SET_UP}")
    return str(python)


def _argument(text: str, one: str) -> tuple[str, str | int | float]:
    key, equals, value = one.partition("=")
    if not equals or not key.isidentifier():
        raise BenchmarkError(f"--openmm-ml {text}: {one!r} is not KEY=VALUE")
    for number in (int, float):
        try:
            return key, value if key == "modelPath" else number(value)
        except ValueError:
            continue
    return key, value


def _short(key: str, value) -> str:
    return f"{key}={Path(value).name if key == 'modelPath' else value}"
