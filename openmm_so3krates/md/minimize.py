"""Energy minimisation with its progress, stoppable."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import openmm
from openmm import unit

from openmm_so3krates.md.errors import SimulationError
from openmm_so3krates.md.interruption import Interruption
from openmm_so3krates.md.progress import SECONDS_BETWEEN_LINES

_ENERGY = unit.kilojoule_per_mole
_FORCE = unit.kilojoule_per_mole / unit.nanometer


@dataclass
class Minimization:
    """Energies in kJ/mol, root mean square forces per component in kJ/mol/nm."""

    iterations: int
    energy_before: float
    energy_after: float
    rms_force_before: float
    rms_force_after: float
    seconds: float


class _Reporter(openmm.MinimizationReporter):
    def __init__(self, interruption: Interruption, say: Callable[[str], None]):
        super().__init__()
        self.iterations = 0
        self._interruption = interruption
        self._say = say
        self._last_line = time.monotonic()

    def report(self, iteration, x, grad, args):
        self.iterations += 1
        if time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._say(f"minimising: iteration {self.iterations}, {args['system energy']:.1f} kJ/mol")
        return bool(self._interruption)  # True stops


def minimize(
    context: openmm.Context, tolerance: float, interruption: Interruption, say: Callable[[str], None]
) -> Minimization:
    """L-BFGS until the root mean square force is below `tolerance` (kJ/mol/nm); `say` takes lines of progress.

    Raises `SimulationError` if the energy is not finite before or after, or the model refuses the structure.
    """
    began = time.monotonic()
    reporter = _Reporter(interruption, say)
    before = _energy_and_force(context, "of the input structure")
    try:
        openmm.LocalEnergyMinimizer.minimize(context, tolerance * _FORCE, 0, reporter)
    except openmm.OpenMMException as error:
        raise SimulationError(f"the minimisation failed: {error}") from None
    after = _energy_and_force(context, "after the minimisation")
    return Minimization(reporter.iterations, before[0], after[0], before[1], after[1], time.monotonic() - began)


def _energy_and_force(context: openmm.Context, when: str) -> tuple[float, float]:
    try:
        state = context.getState(energy=True, forces=True)
    except openmm.OpenMMException as error:
        raise SimulationError(f"the model cannot compute the energy {when}: {error}") from None
    energy = state.getPotentialEnergy().value_in_unit(_ENERGY)
    forces = np.asarray(state.getForces(asNumpy=True).value_in_unit(_FORCE))
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise SimulationError(
            f"the energy or a force {when} is not a finite number; look for atoms on top of each other"
        )
    return energy, float(np.sqrt(np.mean(forces**2)))
