"""Checkpoints: all that a run needs to go on, in one file that is either the old or the new one, never half of it."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openmm
from openmm import Vec3, unit

from openmm_so3krates.atomic_file import write_atomically
from openmm_so3krates.md.append_file import cannot_write
from openmm_so3krates.md.errors import OutputError

FORMAT_VERSION = 1


@dataclass
class Checkpoint:
    """A moment of a run.

    `stage`, `step`: where in the run; steps are counted within the stage.
    `positions`, `velocities`: (N, 3) float64, nm and nm/ps. `box`: (3, 3) nm.
    `sizes`: bytes of each growing output file at that moment, by file name.
    `wall_seconds`: time spent in the stage so far, over all sessions.
    `context_state`, `platform_key`: OpenMM's own checkpoint, random state included, and what it depends on; only an
        equal platform can take it up, any other continues from positions and velocities with new random numbers.
    """

    stage: str
    step: int
    positions: np.ndarray
    velocities: np.ndarray
    box: np.ndarray
    sizes: dict[str, int] = field(default_factory=dict)
    wall_seconds: float = 0.0
    context_state: bytes = b""
    platform_key: str = ""

    def save(self, path: Path) -> None:
        """Raises `OutputError`; an earlier checkpoint at `path` is untouched then."""
        values = dataclasses.asdict(self)
        arrays = {name: values.pop(name) for name in ("positions", "velocities", "box")}
        arrays["context_state"] = np.frombuffer(values.pop("context_state"), np.uint8)
        header = json.dumps({"format_version": FORMAT_VERSION, **values})
        buffer = io.BytesIO()
        np.savez(buffer, header=np.frombuffer(header.encode(), np.uint8), **arrays)
        try:
            write_atomically(path, [buffer.getvalue()])
        except OSError as error:
            raise cannot_write(path, error) from None

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Raises `OutputError` if the file cannot be read or is not a checkpoint."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(arrays.pop("header").tobytes())
            if header.pop("format_version") != FORMAT_VERSION:
                raise OutputError(f"{path} was written by another version of openmm-so3krates")
            context_state = arrays.pop("context_state").tobytes()
            return cls(context_state=context_state, **arrays, **header)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise OutputError(f"{path} is not a readable checkpoint ({error}); start again with --overwrite") from None


def take_checkpoint(context: openmm.Context, stage: str, wall_seconds: float, sizes: dict[str, int]) -> Checkpoint:
    """The present moment of a simulation."""
    state = context.getState(positions=True, velocities=True)
    return Checkpoint(
        stage=stage,
        step=context.getStepCount(),
        positions=_in(state.getPositions(asNumpy=True), unit.nanometer),
        velocities=_in(state.getVelocities(asNumpy=True), unit.nanometer / unit.picosecond),
        box=_in(state.getPeriodicBoxVectors(asNumpy=True), unit.nanometer),
        sizes=sizes,
        wall_seconds=wall_seconds,
        context_state=context.createCheckpoint(),
        platform_key=platform_key(context),
    )


def restore(context: openmm.Context, checkpoint: Checkpoint, timestep: float) -> bool:
    """Sets a fresh Context to a checkpoint; returns whether the random numbers continue too. `timestep` in ps."""
    if checkpoint.context_state and checkpoint.platform_key == platform_key(context):
        try:
            context.loadCheckpoint(checkpoint.context_state)
            return True
        except openmm.OpenMMException:
            pass  # another build of the same version
    if any(force.usesPeriodicBoundaryConditions() for force in context.getSystem().getForces()):
        context.setPeriodicBoxVectors(*(Vec3(*row) for row in checkpoint.box))
    context.setPositions(checkpoint.positions)
    context.setVelocities(checkpoint.velocities)
    context.setStepCount(checkpoint.step)
    context.setTime(checkpoint.step * timestep)
    return False


def platform_key(context: openmm.Context) -> str:
    """What OpenMM's checkpoints depend on: version, platform and its properties such as the number of threads."""
    platform = context.getPlatform()
    names = [name for name in platform.getPropertyNames() if name in ("Threads", "Precision", "DeviceName")]
    properties = [f"{name}={platform.getPropertyValue(context, name)}" for name in names]
    integrator = type(context.getIntegrator()).__name__
    return " ".join([openmm.version.version, platform.getName(), integrator, *properties])


def _in(quantity: unit.Quantity, target: unit.Unit) -> np.ndarray:
    return np.array(quantity.value_in_unit(target), float)
