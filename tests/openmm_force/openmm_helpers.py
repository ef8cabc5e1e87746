"""Contexts made of the reference cases, for the tests of SO3kratesForce."""

from __future__ import annotations

import numpy as np
import openmm
from openmm import unit

from openmm_so3krates import SO3kratesForce

EV = 96.48533212331  # kJ/mol, CODATA 2018
KJ_PER_MOL = unit.kilojoule_per_mole
FORCE_UNIT = unit.kilojoule_per_mole / unit.nanometer
MASSES = {1: 1.008, 6: 12.011, 7: 14.007, 8: 15.999, 9: 18.998, 15: 30.974, 16: 32.06, 17: 35.45}


def make_system(case) -> openmm.System:
    """The particles and the box of a case, without any force."""
    system = openmm.System()
    for number in case.atomic_numbers:
        system.addParticle(MASSES[int(number)])
    if case.cell is not None:
        system.setDefaultPeriodicBoxVectors(*(case.cell / 10))
    return system


def make_force(model, case, **settings) -> SO3kratesForce:
    """The force of a case with the case's own settings, unless others are given."""
    defaults = {
        "atomic_numbers": case.atomic_numbers,
        "charge": case.charge,
        "spin": case.spin,
        "lr_cutoff": case.lr_cutoff / 10,
        "dispersion_switch_width": case.dispersion_switch_width / 10,
        "periodic": case.cell is not None,
    }
    return SO3kratesForce(model, **(defaults | settings))


def make_context(system, positions, platform="Reference", integrator=None, **properties) -> openmm.Context:
    """A Context at `positions` (Å); `properties` are the platform's."""
    integrator = integrator or openmm.VerletIntegrator(0.0005)
    if platform == "CPU":
        properties = {"Threads": "2"} | properties
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform), properties)
    context.setPositions(np.asarray(positions) / 10)
    return context


def case_context(model, case, platform="Reference", integrator=None, **settings) -> openmm.Context:
    system = make_system(case)
    system.addForce(make_force(model, case, **settings))
    return make_context(system, case.positions, platform, integrator)


def energy_of(context, groups=-1) -> float:
    """kJ/mol, by an evaluation of the energy alone."""
    return context.getState(getEnergy=True, groups=groups).getPotentialEnergy().value_in_unit(KJ_PER_MOL)


def forces_of(context, groups=-1) -> np.ndarray:
    """(N, 3) kJ/mol/nm, by an evaluation of the forces alone."""
    return context.getState(getForces=True, groups=groups).getForces(asNumpy=True).value_in_unit(FORCE_UNIT)


def positions_of(context) -> np.ndarray:
    """(N, 3) nm."""
    return context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)


def box_of(context) -> np.ndarray:
    """(3, 3) nm, rows are box vectors."""
    return context.getState().getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)
