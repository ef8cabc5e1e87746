"""A run from start to end: read, minimise, simulate, analyse; and the same again from a checkpoint."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import openmm
from openmm import Vec3, app, unit

from openmm_so3krates.md import stages
from openmm_so3krates.md import system as systems
from openmm_so3krates.md.analysis import analyse
from openmm_so3krates.md.checkpoint import Checkpoint
from openmm_so3krates.md.errors import SettingsError, WriteError
from openmm_so3krates.md.interruption import Interruption
from openmm_so3krates.md.minimize import Minimization, minimize
from openmm_so3krates.md.platforms import describe_platform, make_context
from openmm_so3krates.md.quantities import format_time
from openmm_so3krates.md.request import Request
from openmm_so3krates.md.run_directory import RunDirectory
from openmm_so3krates.md.settings import RunSettings
from openmm_so3krates.md.structure import Structure, read_structure
from openmm_so3krates.md.summary import summarise, summary_lines

Say = Callable[[str], None]


def start_run(source: Path, output: Path, request: Request, overwrite: bool, say: Say) -> int | None:
    """A new run of the structure `source` in the folder `output`; `say` takes lines for the user.

    Returns None when it is complete, else the number of the signal that stopped it. Raises `RunError`.
    Nothing is written (or overwritten) before the input has been found good.
    """
    structure = read_structure(source)
    settings = request.new_settings(structure)
    model_hash = systems.make_force(structure, settings).getModelHash()
    with RunDirectory(output, "overwrite" if overwrite else "new") as directory:
        record = {
            "settings": settings.to_json(),
            "input": directory.store_input(source),
            "model": {"name": settings.model, "sha256": model_hash},
            "versions": _versions(),
            "minimization": None,
        }
        directory.write_record(record)
        return _Job(directory, structure, settings, record, say).run()


def resume_run(output: Path, source: Path | None, request: Request, say: Say) -> int | None:
    """Continues the run in the folder `output`; returns and raises as `start_run`.

    `source` and the request only need to name what is to change; whatever must not change is compared.
    """
    with RunDirectory(output, "resume") as directory:
        record = directory.read_record()
        try:
            stored = RunSettings.from_json(record["settings"])
            stored_input, stored_model = record["input"], record["model"]
        except (KeyError, TypeError):
            raise SettingsError(f"{output}/run.json is incomplete; start again with --overwrite") from None
        copy = directory.stored_input(stored_input)
        if source is not None and _bytes_of(source) != copy.read_bytes():
            raise SettingsError(
                f"{source} is not the structure that this run began with ({stored_input['name']}); leave it out, or "
                "start a new run in another folder"
            )
        settings = request.resumed_settings(stored)
        structure = read_structure(copy)
        model_hash = systems.make_force(structure, settings).getModelHash()
        if model_hash != stored_model["sha256"]:
            raise SettingsError(
                f"the model {settings.model!r} is another file now (SHA-256 {model_hash[:12]}…) than when the run "
                f"began ({stored_model['sha256'][:12]}…); restore that one, or start a new run"
            )
        _warn_of_other_versions(record.get("versions"), say)
        job = _Job(directory, structure, settings, record, say)
        job.check_length()
        if settings != stored:
            record["settings"] = settings.to_json()
            directory.write_record(record)
        return job.run()


class _Job:
    def __init__(self, directory: RunDirectory, structure: Structure, settings: RunSettings, record: dict, say: Say):
        self.directory, self.structure, self.settings = directory, structure, settings
        self.record, self.say = record, say
        self.stages = stages.stages_of(settings, directory)
        self.checkpoint = Checkpoint.load(directory.checkpoint) if directory.checkpoint.exists() else None

    def check_length(self) -> None:
        """Raises `SettingsError` if the run is already longer than it is to be."""
        if self.checkpoint is not None and self.checkpoint.stage == stages.PRODUCTION:
            done, timestep = self.checkpoint.step, self.settings.timestep
            if done > self.settings.steps:
                raise SettingsError(
                    f"the run is already {done} steps ({format_time(done * timestep)}) long, which is more than the "
                    f"{self.settings.steps} asked for; give a longer --time, or leave it out"
                )

    def run(self) -> int | None:
        """As `start_run`."""
        try:
            return self._run()
        except WriteError as error:
            raise WriteError(f"{error}. When that is mended, continue with: {self._resume_command()}") from None

    def _run(self) -> int | None:
        self._say_what_will_run()
        with Interruption() as interruption:
            if self.checkpoint is None:
                self.checkpoint = self._prepare(interruption)
            if self.checkpoint is not None:
                self._simulate(interruption)
            if interruption:
                self._say_how_to_resume()
                return interruption.signal_number
            self._finish()
        return None

    # -- the parts -----------------------------------------------------------------------------

    def _prepare(self, interruption: Interruption) -> Checkpoint | None:
        """Minimises and draws velocities; None if a signal came."""
        settings, structure = self.settings, self.structure
        system = systems.build_system(structure, settings, systems.make_force(structure, settings))
        if systems.degrees_of_freedom(system) < 1:
            raise SettingsError("nothing can move: the constraints leave no degree of freedom; use --constraints none")
        context = make_context(system, openmm.VerletIntegrator(settings.timestep * unit.picosecond), settings)
        self.say(f"  computing on  {describe_platform(context)}")
        context.setPositions(structure.positions)
        if settings.constraints != "none":
            self.say("  warning: models are trained on flexible molecules; constraints change the physics")
            context.applyConstraints(1e-6)
        if settings.minimize:
            result = minimize(context, settings.minimize_tolerance, interruption, self.say)
            if interruption:
                return None
            self._say_minimization(result)
            self.record["minimization"] = vars(result)
            self.directory.write_record(self.record)
        positions = np.asarray(context.getState(positions=True).getPositions(asNumpy=True)._value)
        self._write_structure(self.directory.reference_structure(settings.minimize), positions, structure.box)
        velocities = self._draw_velocities(context)
        box = np.eye(3) if structure.box is None else structure.box
        first = Checkpoint(self.stages[0].name, 0, positions, velocities, box)
        first.save(self.directory.checkpoint)
        return first

    def _draw_velocities(self, context: openmm.Context) -> np.ndarray:
        """Maxwell-Boltzmann velocities without motion of the center of mass."""
        context.setVelocitiesToTemperature(
            self.settings.temperature * unit.kelvin, systems.derived_seed(self.settings, 2)
        )
        velocities = np.asarray(context.getState(velocities=True).getVelocities(asNumpy=True)._value)
        if len(velocities) > 1:
            system = context.getSystem()
            masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(len(velocities))]
            velocities = velocities - np.average(velocities, axis=0, weights=masses)
        return velocities

    def _simulate(self, interruption: Interruption) -> None:
        names = [stage.name for stage in self.stages]
        if self.checkpoint.stage not in names:
            raise SettingsError(f"the checkpoint is of a stage {self.checkpoint.stage!r} that this run does not have")
        for stage in self.stages[names.index(self.checkpoint.stage) :]:
            if self.checkpoint.stage != stage.name:
                self.checkpoint = stages.next_stage_start(self.checkpoint, stage)
                self.checkpoint.save(self.directory.checkpoint)
            if self.checkpoint.step < stage.steps:
                self.checkpoint = stages.run_stage(
                    stage, self.structure, self.settings, self.directory, self.checkpoint, interruption
                )
            if interruption:
                return

    def _finish(self) -> None:
        directory, settings, structure = self.directory, self.settings, self.structure
        self._write_structure(directory.final_structure, self.checkpoint.positions, self.checkpoint.box)
        analysis = analyse(
            structure.topology,
            directory.log,
            directory.trajectory(settings.format),
            directory.reference_structure(settings.minimize),
            settings.save_every * settings.timestep,
        )
        system = systems.build_system(structure, settings, systems.make_force(structure, settings))
        freedom = systems.degrees_of_freedom(system)
        numbers = summarise(analysis, settings, structure.num_atoms, freedom, self.checkpoint.wall_seconds)
        directory.write_json(directory.summary, {**self.record, "formula": structure.formula, "results": numbers})
        from openmm_so3krates.md.plots import draw  # matplotlib takes a while to import

        title = f"{self.record['input']['name']}: {self._ensemble()}, {settings.model}"
        directory.write(directory.plots, draw(analysis, settings, title))
        self.say("done")
        for line in summary_lines(numbers, settings):
            self.say(line)
        self.say(f"  files         {directory.folder}/: {', '.join(directory.present())}")

    # -- files and messages --------------------------------------------------------------------

    def _write_structure(self, path: Path, positions: np.ndarray, box: np.ndarray | None) -> None:
        topology = self.structure.topology
        if self.structure.is_periodic:
            topology.setPeriodicBoxVectors([Vec3(*row) for row in box] * unit.nanometer)
        buffer = io.StringIO()
        app.PDBFile.writeFile(topology, positions * unit.nanometer, buffer, keepIds=True)
        self.directory.write(path, buffer.getvalue().encode())

    def _ensemble(self) -> str:
        settings = self.settings
        text = settings.ensemble.upper()
        if settings.ensemble == "npt":
            return f"{text} at {settings.temperature:g} K and {settings.pressure:g} bar"
        return f"{text} {'from' if text == 'NVE' else 'at'} {settings.temperature:g} K"

    def _say_what_will_run(self) -> None:
        settings, structure, say = self.settings, self.structure, self.say
        versions = _versions()
        say(f"openmm-so3krates {versions['openmm-so3krates']}, OpenMM {versions['openmm']}")
        box = "no box"
        if structure.is_periodic:
            lengths = 10 * np.linalg.norm(structure.box, axis=1)
            box = "box " + " x ".join(f"{length:.2f}" for length in lengths) + " Å"
        cutoff = "without cutoff" if settings.lr_cutoff is None else f"to {10 * settings.lr_cutoff:g} Å"
        say(
            f"  input         {self.record['input']['name']}: {structure.num_atoms} atoms, {structure.formula}, "
            f"charge {settings.charge:g}, {settings.spin:g} unpaired electrons, {box}"
        )
        say(f"  model         {settings.model} (SHA-256 {self.record['model']['sha256'][:12]}…), long range {cutoff}")
        length = f"{settings.steps} steps of {format_time(settings.timestep)} = {format_time(settings.total_time)}"
        say(f"  run           {self._ensemble()}, {length}, seed {settings.seed}")
        if settings.equilibration_steps:
            length = format_time(settings.equilibration_steps * settings.timestep)
            say(f"                after {length} of equilibration")
        elif settings.ensemble == "nve" and settings.minimize and settings.temperature > 0:
            say(
                f"                from a minimised structure: expect about {settings.temperature / 2:g} K; "
                "--equilibrate 1ps comes closer"
            )
        say(f"  output        {self.directory.folder}, every {format_time(settings.save_every * settings.timestep)}")
        if self.checkpoint is not None:
            moment = format_time(self.checkpoint.step * settings.timestep)
            done = self.checkpoint.stage == stages.PRODUCTION and self.checkpoint.step >= settings.steps
            what = "complete already; analysing it again" if done else f"at {moment} of the {self.checkpoint.stage}"
            say(f"  resuming      {what}")

    def _say_minimization(self, result: Minimization) -> None:
        self.say(
            f"  minimised     by {result.energy_before - result.energy_after:.1f} kJ/mol in {result.iterations} "
            f"iterations ({result.seconds:.1f} s); rms force {result.rms_force_before:.3g} -> "
            f"{result.rms_force_after:.3g} kJ/mol/nm"
        )

    def _say_how_to_resume(self) -> None:
        if self.checkpoint is None:
            self.say("stopped during the minimisation, which will be repeated")
        else:
            moment = format_time(self.checkpoint.step * self.settings.timestep)
            self.say(f"stopped at step {self.checkpoint.step} ({moment}) of the {self.checkpoint.stage}")
        self.say(f"continue with: {self._resume_command()}")

    def _resume_command(self) -> str:
        return f"so3krates md --resume --output {shlex.quote(str(self.directory.folder))}"


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None


def _versions() -> dict[str, str]:
    try:
        own = metadata.version("openmm-so3krates")
    except metadata.PackageNotFoundError:
        own = "(not installed)"
    return {"openmm-so3krates": own, "openmm": openmm.version.short_version}


def _warn_of_other_versions(stored: dict | None, say: Say) -> None:
    for name, version in _versions().items():
        if isinstance(stored, dict) and stored.get(name) != version:
            say(f"  note: the run began with {name} {stored.get(name)}, this is {version}")
