"""PredictionReporter: the dipole, energy parts and charges of a SO3kratesForce along an OpenMM simulation."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

from .force import SO3kratesForce
from .md.errors import OutputError
from .md.prediction_files import COLUMNS, ChargeFile, PredictionLog


class PredictionReporter:
    """A reporter for `simulation.reporters`; each report costs one evaluation without forces.

    What was reported is in the operating system's hands at once, and the files hold whole lines and rows only, also
    after a failed write (disk full).

    Args:
        file: CSV to write: step, time (ps), dipole (e nm; see `Prediction`) and energy parts (kJ/mol).
        report_interval: steps between reports. An infrared spectrum up to 4000 cm⁻¹ needs one every 4 fs or less.
        charges: NPY file for the partial charges, (reports, N) float32, e, in the order of `force.getAtoms()`; None:
            not written. `numpy.load` reads it, also while it grows.
        force: the SO3kratesForce of the System to read; None: its only one.
        append: continue existing files. Lines of steps that the simulation, restarted from a checkpoint, has yet to do
            are cut off, so no report is there twice. False: files are replaced.

    Raises:
        OutputError: the files cannot be written (`openmm_so3krates.md.errors`).
        ValueError: an argument or the System cannot be used.
    """

    def __init__(
        self,
        file: str | os.PathLike,
        report_interval: int,
        charges: str | os.PathLike | None = None,
        force: openmm.Force | None = None,
        append: bool = False,
    ):
        if report_interval < 1:
            raise ValueError(f"report_interval must be at least one step, not {report_interval}")
        self._path, self._interval, self._append = Path(file), int(report_interval), append
        self._charge_path = None if charges is None else Path(charges)
        self._force = None if force is None else SO3kratesForce(force)
        self._log: PredictionLog | None = None
        self._charges: ChargeFile | None = None

    def describeNextReport(self, simulation: app.Simulation) -> dict:
        """OpenMM asks by it when the next report is due and what of the State it needs: nothing."""
        steps = self._interval - simulation.currentStep % self._interval
        return {"steps": steps, "periodic": None, "include": []}

    def report(self, simulation: app.Simulation, state: openmm.State) -> None:
        """OpenMM calls it when a report is due."""
        if self._force is None:
            self._force = _only_force(simulation.system)
        if self._log is None:
            self._open(simulation.currentStep)
        prediction = self._force.getPrediction(simulation.context)
        # Charges first: a line of the log stands for a report that is complete.
        if self._charges is not None:
            self._charges.append(prediction)
        time = state.getTime().value_in_unit(unit.picosecond)
        self._log.append(simulation.currentStep, time, prediction)

    def _open(self, step: int) -> None:
        num_atoms = len(self._force.getAtomicNumbers())
        log_size = charge_size = None
        if self._append and any(path is not None and path.exists() for path in (self._path, self._charge_path)):
            log_size, reports = _part_before(self._path, step)
            if self._charge_path is not None:
                charge_size = _size_of_charges(self._charge_path, num_atoms, reports)
        self._log = PredictionLog(self._path, log_size)
        if self._charge_path is not None:
            self._charges = ChargeFile(self._charge_path, num_atoms, charge_size)


def _only_force(system: openmm.System) -> SO3kratesForce:
    from . import _openmm

    forces = [force for force in system.getForces() if _openmm.is_so3krates(force)]
    if len(forces) != 1:
        raise ValueError(
            f"the System has {len(forces)} SO3kratesForces; "
            + ("name the one to report (force=...)" if forces else "there is nothing to report")
        )
    return SO3kratesForce(forces[0])


def _part_before(path: Path, step: int) -> tuple[int, int]:
    """Bytes and number of the whole lines of steps before `step`."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        if lines and lines[0] != (",".join(COLUMNS) + "\n").encode():
            raise ValueError("its first line is another")
        size, reports = len(lines[0]) if lines else 0, 0
        for line in lines[1:]:
            if not line.endswith(b"\n") or int(line.split(b",")[0]) >= step:
                break
            size, reports = size + len(line), reports + 1
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot continue {path}: {error}; name another file, or leave append out") from None
    return size, reports


def _size_of_charges(path: Path, num_atoms: int, reports: int) -> int:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.shape[1:] != (num_atoms,) or array.dtype != np.float32 or len(array) < reports:
            raise ValueError(f"it holds {array.dtype} {array.shape}, needed are float32 ({reports}, {num_atoms})")
    except (OSError, ValueError, EOFError) as error:
        raise OutputError(f"cannot continue {path}: {error}; name another file, or leave append out") from None
    return ChargeFile.size_of(num_atoms, reports)
