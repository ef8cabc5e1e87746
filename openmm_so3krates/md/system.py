"""The OpenMM System and integrators of a run."""

from __future__ import annotations

import numpy as np
import openmm
from openmm import unit

from openmm_so3krates.md.errors import SettingsError
from openmm_so3krates.md.settings import RunSettings
from openmm_so3krates.md.structure import Structure

BAROSTAT_INTERVAL = 25  # steps, OpenMM's default
# nm; equilibrium lengths of single bonds to hydrogen by atomic number (CRC Handbook of Chemistry and Physics).
_HYDROGEN_BONDS = {1: 0.0741, 5: 0.119, 6: 0.109, 7: 0.101, 8: 0.096, 9: 0.0917, 15: 0.142, 16: 0.134, 17: 0.1275}


def make_force(structure: Structure, settings: RunSettings) -> openmm.Force:
    """The model as an OpenMM force on all atoms. Raises `SettingsError` saying why the model cannot be used."""
    from openmm_so3krates import SO3kratesForce

    try:
        return SO3kratesForce(
            settings.model,
            topology=structure.topology,
            charge=settings.charge,
            spin=settings.spin,
            lr_cutoff=None if settings.lr_cutoff is None else settings.lr_cutoff * unit.nanometer,
            precision=settings.precision,
        )
    except (ValueError, TypeError, OSError) as error:  # ModelError is a ValueError
        raise SettingsError(str(error)) from None


def build_system(structure: Structure, settings: RunSettings, force: openmm.Force) -> openmm.System:
    """Masses, box, the force, constraints and, for more than one atom, the remover of center-of-mass motion."""
    system = openmm.System()
    for atom in structure.topology.atoms():
        system.addParticle(atom.element.mass)
    if structure.is_periodic:
        system.setDefaultPeriodicBoxVectors(*structure.topology.getPeriodicBoxVectors())
    system.addForce(force)
    if settings.constraints == "hbonds":
        _constrain_hydrogen_bonds(system, structure)
    if structure.num_atoms > 1:
        system.addForce(openmm.CMMotionRemover(1))
    return system


def add_barostat(system: openmm.System, settings: RunSettings, seed: int) -> None:
    """Isotropic Monte Carlo barostat at the run's pressure and temperature."""
    barostat = openmm.MonteCarloBarostat(
        settings.pressure * unit.bar, settings.temperature * unit.kelvin, BAROSTAT_INTERVAL
    )
    barostat.setRandomNumberSeed(seed)
    system.addForce(barostat)


def make_integrator(settings: RunSettings, ensemble: str, seed: int) -> openmm.Integrator:
    """Verlet (leapfrog) for NVE, LangevinMiddle otherwise."""
    timestep = settings.timestep * unit.picosecond
    if ensemble == "nve":
        return openmm.VerletIntegrator(timestep)
    integrator = openmm.LangevinMiddleIntegrator(
        settings.temperature * unit.kelvin, settings.friction / unit.picosecond, timestep
    )
    integrator.setRandomNumberSeed(seed)
    return integrator


def degrees_of_freedom(system: openmm.System) -> int:
    """Degrees of freedom that share the kinetic energy: three per atom with mass, less constraints and less the
    three of the center of mass where its motion is removed."""
    count = sum(3 for i in range(system.getNumParticles()) if system.getParticleMass(i) > 0 * unit.dalton)
    count -= system.getNumConstraints()
    if any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces()):
        count -= 3
    return count


def temperature(kinetic_energy: float, num_degrees_of_freedom: int) -> float:
    """Equipartition temperature in K of a kinetic energy in kJ/mol."""
    gas_constant = unit.MOLAR_GAS_CONSTANT_R.value_in_unit(unit.kilojoule_per_mole / unit.kelvin)
    return 2 * kinetic_energy / (num_degrees_of_freedom * gas_constant)


def derived_seed(settings: RunSettings, *purpose: int) -> int:
    """A seed of its own for each purpose, so that noise is never used twice: OpenMM's seed 0 means "any"."""
    return int(np.random.SeedSequence([settings.seed, *purpose]).generate_state(1)[0] % (2**31 - 1)) + 1


def _constrain_hydrogen_bonds(system: openmm.System, structure: Structure) -> None:
    for bond in structure.topology.bonds():
        numbers = sorted((bond[0].element.atomic_number, bond[1].element.atomic_number))
        if numbers[0] == 1:
            length = _HYDROGEN_BONDS.get(numbers[1])
            if length is None:
                raise SettingsError(
                    f"--constraints hbonds knows no length for the bond of hydrogen to {bond[0].element.symbol}/"
                    f"{bond[1].element.symbol}; use --constraints none"
                )
            system.addConstraint(bond[0].index, bond[1].index, length)
