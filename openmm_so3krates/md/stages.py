"""The stages of a run and the loop that steps through one of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import openmm
from openmm import unit

from openmm_so3krates.md import system as systems
from openmm_so3krates.md.checkpoint import Checkpoint, restore, take_checkpoint
from openmm_so3krates.md.errors import SettingsError, SimulationError
from openmm_so3krates.md.interruption import Interruption
from openmm_so3krates.md.log import LogFile, LogLine
from openmm_so3krates.md.platforms import make_context
from openmm_so3krates.md.prediction_files import ChargeFile, PredictionLog
from openmm_so3krates.md.progress import Progress
from openmm_so3krates.md.run_directory import RunDirectory
from openmm_so3krates.md.settings import RunSettings
from openmm_so3krates.md.structure import Structure
from openmm_so3krates.md.trajectory import DCDWriter, XTCWriter, open_trajectory

EQUILIBRATION, PRODUCTION = "equilibration", "production"
# A signal is acted on, and the bar moves, about this often (but a step is never cut in two).
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Stage:
    """`log`, `trajectory`, `predictions` (CSV and NPY): files in the run's folder; None: not written."""

    name: str
    ensemble: str
    steps: int
    log: Path
    trajectory: Path | None = None
    predictions: tuple[Path, Path] | None = None


def stages_of(settings: RunSettings, directory: RunDirectory) -> list[Stage]:
    """Equilibration, if asked for, is thermostatted also before an NVE production."""
    trajectory = directory.trajectory(settings.format)
    predictions = (directory.predictions, directory.charges) if settings.predictions else None
    stages = [Stage(PRODUCTION, settings.ensemble, settings.steps, directory.log, trajectory, predictions)]
    if settings.equilibration_steps:
        ensemble = "nvt" if settings.ensemble == "nve" else settings.ensemble
        log = directory.equilibration_log
        stages.insert(0, Stage(EQUILIBRATION, ensemble, settings.equilibration_steps, log))
    return stages


def run_stage(
    stage: Stage,
    structure: Structure,
    settings: RunSettings,
    directory: RunDirectory,
    start: Checkpoint,
    interruption: Interruption,
) -> Checkpoint:
    """Steps from `start` to the end of the stage, or to the step at which a signal came; that moment is returned and
    is in the checkpoint file.

    Raises `SimulationError` if energy or positions are not finite any more (the last good checkpoint stays), and
    `OutputError` if something cannot be written (what was written before stays valid).
    """
    simulation = _Simulation(stage, structure, settings, directory, start, interruption)
    try:
        return simulation.run()
    finally:
        simulation.close()


class _Simulation:
    def __init__(
        self,
        stage: Stage,
        structure: Structure,
        settings: RunSettings,
        directory: RunDirectory,
        start: Checkpoint,
        interruption: Interruption,
    ):
        self.stage, self.settings, self.directory, self.interruption = stage, settings, directory, interruption
        self.force = systems.make_force(structure, settings)
        system = systems.build_system(structure, settings, self.force)
        purpose = (stage.name == PRODUCTION, start.step)
        if stage.ensemble == "npt":
            systems.add_barostat(system, settings, systems.derived_seed(settings, *purpose, 1))
        self.integrator = systems.make_integrator(settings, stage.ensemble, systems.derived_seed(settings, *purpose, 0))
        self.context = make_context(system, self.integrator, settings)
        restore(self.context, start, settings.timestep)
        self.periodic = structure.is_periodic
        self.degrees_of_freedom = systems.degrees_of_freedom(system)
        self.total_mass = sum(atom.element.mass.value_in_unit(unit.dalton) for atom in structure.topology.atoms())
        self.earlier_seconds, self.began = start.wall_seconds, time.monotonic()
        self.last_checkpoint = start

        sizes = start.sizes
        self.log = LogFile(stage.log, self.periodic, sizes.get(stage.log.name))
        self.trajectory = None
        if stage.trajectory is not None:
            size = sizes.get(stage.trajectory.name)
            self.trajectory = open_trajectory(
                stage.trajectory, structure.num_atoms, settings.timestep, settings.save_every, self.periodic, size
            )
        self.prediction_log = self.charges = None
        if stage.predictions is not None:
            table, charges = stage.predictions
            self.prediction_log = PredictionLog(table, sizes.get(table.name))
            self.charges = ChargeFile(charges, structure.num_atoms, sizes.get(charges.name))
        self.progress = Progress(stage.name, stage.steps, start.step, settings.timestep)

    def close(self) -> None:
        self.progress.close()
        for file in self._files().values():
            file.close()

    def run(self) -> Checkpoint:
        step, last_look = self.last_checkpoint.step, time.monotonic()
        if not self.last_checkpoint.sizes:  # the files are new
            self._record(step)
        while step < self.stage.steps and not self.interruption:
            step = self._advance(
                min(step - step % self.settings.save_every + self.settings.save_every, self.stage.steps)
            )
            if step % self.settings.save_every == 0:
                self._record(step)
                if time.monotonic() - last_look >= self.settings.checkpoint_seconds:
                    self._save_checkpoint()
                    last_look = time.monotonic()
        if step != self.last_checkpoint.step or not self.last_checkpoint.sizes:
            self._save_checkpoint()
        return self.last_checkpoint

    def _advance(self, target: int) -> int:
        """Steps towards `target`, less far if a signal comes; the step reached."""
        step, chunk = self.context.getStepCount(), 1
        while step < target and not self.interruption:
            began = time.monotonic()
            size = min(chunk, target - step)
            try:
                self.integrator.step(size)
            except openmm.OpenMMException as error:
                raise self._breakdown(str(error)) from None
            step += size
            self.progress.update(step)
            seconds = max(time.monotonic() - began, 1e-6)
            chunk = max(1, min(10 * chunk, int(size * SECONDS_BETWEEN_LOOKS / seconds)))
        return step

    def _record(self, step: int) -> None:
        """Frame and log line of this step."""
        try:
            state = self.context.getState(energy=True, positions=True)
        except openmm.OpenMMException as error:
            raise self._breakdown(str(error)) from None
        potential_energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        kinetic_energy = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
        positions = np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        if not np.isfinite(potential_energy + kinetic_energy):
            raise self._breakdown("the energy is not a finite number")
        if not np.isfinite(positions).all():
            raise self._breakdown("a position is not a finite number")
        box = np.array(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer))
        if self.trajectory is not None:
            moment = step * self.settings.timestep
            self.trajectory.append(positions, box if self.periodic else None, step, moment)
        if self.prediction_log is not None:
            try:
                prediction = self.force.getPrediction(self.context)
            except openmm.OpenMMException as error:  # a platform that cannot
                raise SettingsError(f"--predictions: {error}") from None
            self.charges.append(prediction)
            self.prediction_log.append(step, step * self.settings.timestep, prediction)
        temperature = systems.temperature(kinetic_energy, self.degrees_of_freedom)
        self.log.append(
            LogLine(
                step=step,
                time=step * self.settings.timestep,
                potential_energy=potential_energy,
                kinetic_energy=kinetic_energy,
                temperature=temperature,
                volume=float(np.linalg.det(box)) if self.periodic else None,
                total_mass=self.total_mass,
                speed=self.progress.speed,
            )
        )
        self.progress.update(step, temperature)

    def _save_checkpoint(self) -> None:
        # The files first: a checkpoint must never speak of bytes that a power failure could still take away.
        sizes = {}
        for path, file in self._files().items():
            file.sync()
            sizes[path.name] = file.size
        seconds = self.earlier_seconds + time.monotonic() - self.began
        try:
            checkpoint = take_checkpoint(self.context, self.stage.name, seconds, sizes)
        except openmm.OpenMMException as error:
            raise self._breakdown(str(error)) from None
        if not (np.isfinite(checkpoint.positions).all() and np.isfinite(checkpoint.velocities).all()):
            raise self._breakdown("a position or velocity is not a finite number")
        checkpoint.save(self.directory.checkpoint)
        self.last_checkpoint = checkpoint

    def _files(self) -> dict[Path, LogFile | DCDWriter | XTCWriter | PredictionLog | ChargeFile]:
        """The growing files by path."""
        files = {self.stage.log: self.log}
        if self.trajectory is not None:
            files[self.stage.trajectory] = self.trajectory
        if self.prediction_log is not None:
            files |= dict(zip(self.stage.predictions, (self.prediction_log, self.charges), strict=True))
        return files

    def _breakdown(self, reason: str) -> SimulationError:
        step = self.context.getStepCount()
        return SimulationError(
            f"the simulation broke down at step {step} of the {self.stage.name} "
            f"({step * self.settings.timestep:.6g} ps): {reason}. The last good checkpoint, of step "
            f"{self.last_checkpoint.step}, is kept in {self.directory.checkpoint}. Look at the last frames for atoms "
            "that came too close, then try a shorter --timestep, a longer minimisation or a lower temperature"
        )


def next_stage_start(end: Checkpoint, stage: Stage) -> Checkpoint:
    """The first moment of `stage`, where the stage before ended."""
    return replace(end, stage=stage.name, step=0, sizes={}, wall_seconds=0.0, context_state=b"", platform_key="")
