"""Energies and forces of SO3kratesForce: equal to the engine and to the original code, forces = -gradient."""

import numpy as np
import openmm
import pytest
from cases import load_case
from openmm_helpers import EV, case_context, energy_of, forces_of, make_context, make_force, make_system

from openmm_so3krates import Potential

CASES = [
    "ac_ala3_nhme",
    "acetate",
    "methyl_radical",
    "single_atom",
    "water_64_lr6",
    "water_64_triclinic_lr6",
    "water_8_smallcell",
]
PLATFORM_PRECISIONS = [
    ("Reference", None, "double"),
    ("CPU", None, "single"),
    ("Reference", "single", "single"),
    ("CPU", "double", "double"),
]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("platform, asked, used", PLATFORM_PRECISIONS)
def test_equals_the_engine(so3lr, name, platform, asked, used):
    case = load_case(name)
    potential = Potential(so3lr, precision=used, lr_cutoff=case.lr_cutoff)
    expected = potential.compute(case.atomic_numbers, case.positions, **case.system)
    context = case_context(so3lr, case, platform, precision=asked)
    # Positions make the way Å -> nm -> Å, which may change their last bit, in single precision then a float's.
    tolerance = 1e-10 if used == "double" else 2e-5
    assert energy_of(context) / EV == pytest.approx(expected.energy, abs=tolerance * case.num_atoms)
    np.testing.assert_allclose(forces_of(context) / (10 * EV), expected.forces, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_equals_the_original_code(so3lr, name):
    case = load_case(name)
    context = case_context(so3lr, case)
    assert energy_of(context) / EV == pytest.approx(case.double.energy, abs=1e-8 * case.num_atoms)
    np.testing.assert_allclose(forces_of(context) / (10 * EV), case.double.forces, rtol=0, atol=1e-8)


def test_no_long_range_cutoff(so3lr):
    case = load_case("aladip")
    context = case_context(so3lr, case, lr_cutoff=None)
    assert energy_of(context) / EV == pytest.approx(case.no_cutoff.energy, abs=1e-8 * case.num_atoms)
    np.testing.assert_allclose(forces_of(context) / (10 * EV), case.no_cutoff.forces, rtol=0, atol=1e-8)


def assert_forces_are_the_gradient(context, atoms=None):
    """Central differences of the energy along random directions; Reference platform, so double precision."""
    state = context.getState(getPositions=True)
    positions = state.getPositions(asNumpy=True)._value.copy()
    forces = forces_of(context)
    generator = np.random.default_rng(1)
    step = 2e-6  # nm
    for _ in range(4):
        direction = generator.normal(size=positions.shape)
        if atoms is not None:
            direction[np.setdiff1d(np.arange(len(positions)), atoms)] = 0
        energies = []
        for sign in (1, -1):
            context.setPositions(positions + sign * step * direction)
            energies.append(energy_of(context))
        slope = (energies[0] - energies[1]) / (2 * step)
        assert slope == pytest.approx(-np.sum(forces * direction), rel=1e-6, abs=1e-3)
    context.setPositions(positions)


@pytest.mark.parametrize("name", ["aladip", "water_8_smallcell", "water_64_triclinic_lr6"])
def test_forces_are_the_gradient(so3lr, name):
    # Far from a minimum, so that a wrong force cannot hide behind small numbers.
    case = load_case(name)
    context = case_context(so3lr, case)
    noise = np.random.default_rng(0).normal(scale=0.05, size=case.positions.shape)
    context.setPositions((case.positions + noise) / 10)
    assert_forces_are_the_gradient(context)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_positions_need_not_be_wrapped(so3lr, platform):
    case = load_case("water_64_triclinic_lr6")
    context = case_context(so3lr, case, platform, precision="double")
    energy, forces = energy_of(context), forces_of(context)
    images = np.random.default_rng(0).integers(-2, 3, size=(case.num_atoms, 3))
    context.setPositions((case.positions + images @ case.cell) / 10)
    assert energy_of(context) == pytest.approx(energy, abs=1e-6)
    np.testing.assert_allclose(forces_of(context), forces, rtol=0, atol=1e-6)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_a_region_inside_a_periodic_system(so3lr, platform):
    """Atoms in any order, not periodic although the System is: the same as the molecule alone."""
    case = load_case("ethanol")
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors([2, 0, 0], [0, 2, 0], [0, 0, 2])
    for _ in range(30):
        system.addParticle(12)
    argons = openmm.NonbondedForce()
    argons.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    argons.setCutoffDistance(0.9)
    for _ in range(30):
        argons.addParticle(0, 0.3, 0)
    system.addForce(argons)
    particles = np.random.default_rng(0).permutation(30)[: case.num_atoms]
    force = make_force(so3lr, case, atoms=particles, precision="double")
    system.addForce(force)
    assert force.getAtoms() == list(particles)
    assert not force.usesPeriodicBoundaryConditions()
    positions = np.random.default_rng(1).uniform(0, 20, size=(30, 3))
    # Lies across the box's edge, where wrapping its atoms would tear it.
    positions[particles] = case.positions - case.positions.mean(axis=0) + [20, 0.5, 19.7]
    context = make_context(system, positions, platform)
    alone = case_context(so3lr, case, platform, precision="double")
    assert energy_of(context) == pytest.approx(energy_of(alone), abs=1e-6)
    forces = forces_of(context)
    np.testing.assert_allclose(forces[particles], forces_of(alone), rtol=0, atol=1e-5)
    assert np.all(np.delete(forces, particles, axis=0) == 0)
    if platform == "Reference":
        assert_forces_are_the_gradient(context, particles)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_force_groups(so3lr, platform):
    case = load_case("water")
    system = make_system(case)
    springs = openmm.CustomExternalForce("x^2+y^2+z^2")
    for particle in range(3):
        springs.addParticle(particle)
    system.addForce(springs)
    force = make_force(so3lr, case)
    force.setForceGroup(3)
    system.addForce(force)
    context = make_context(system, case.positions, platform)
    assert energy_of(context, {3}) / EV == pytest.approx(case.double.energy, abs=1e-4)
    assert energy_of(context, {0}) + energy_of(context, {3}) == pytest.approx(energy_of(context), abs=1e-3)
    np.testing.assert_allclose(forces_of(context, {0}), -2 * case.positions / 10, atol=1e-5)
    np.testing.assert_allclose(forces_of(context, {0}) + forces_of(context, {3}), forces_of(context), atol=1e-3)


def test_several_forces_in_one_system(so3lr):
    """Two molecules, each with its own charge, cutoff and force."""
    first, second = load_case("acetate"), load_case("methyl_radical")
    system = openmm.System()
    for _ in range(first.num_atoms + second.num_atoms):
        system.addParticle(12)
    system.addForce(make_force(so3lr, first, atoms=range(first.num_atoms)))
    system.addForce(make_force(so3lr, second, atoms=range(first.num_atoms, system.getNumParticles())))
    # One upon the other: they must not see each other.
    context = make_context(system, np.concatenate([first.positions, second.positions]))
    total = (first.double.energy + second.double.energy) * EV
    assert energy_of(context) == pytest.approx(total, abs=1e-5)
    forces = np.concatenate([first.double.forces, second.double.forces]) * 10 * EV
    np.testing.assert_allclose(forces_of(context), forces, rtol=0, atol=1e-4)


def test_inside_a_custom_cv_force(so3lr):
    """OpenMM copies the force into an inner Context by its serialization."""
    case = load_case("ethanol")
    system = make_system(case)
    mixture = openmm.CustomCVForce("fraction*energy")
    mixture.addGlobalParameter("fraction", 0.25)
    mixture.addCollectiveVariable("energy", make_force(so3lr, case))
    system.addForce(mixture)
    context = make_context(system, case.positions)
    assert energy_of(context) / EV == pytest.approx(0.25 * case.double.energy, abs=1e-7)
    np.testing.assert_allclose(forces_of(context) / (10 * EV), 0.25 * case.double.forces, rtol=0, atol=1e-8)


def test_charge_and_spin_change_in_a_context(so3lr):
    case = load_case("acetate")
    system = make_system(case)
    force = make_force(so3lr, case, charge=0, spin=2)
    system.addForce(force)
    context = make_context(system, case.positions)
    before = energy_of(context)
    force.setCharge(case.charge)
    force.setSpin(case.spin)
    assert energy_of(context) == before
    force.updateParametersInContext(context)
    assert energy_of(context) / EV == pytest.approx(case.double.energy, abs=1e-7)
    np.testing.assert_allclose(forces_of(context) / (10 * EV), case.double.forces, rtol=0, atol=1e-8)


@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_same_bits_for_any_number_of_threads(so3lr, threads):
    case = load_case("water_64_lr6")
    results = []
    for number in ("1", threads):
        system = make_system(case)
        system.addForce(make_force(so3lr, case))
        platform = openmm.Platform.getPlatformByName("CPU")
        context = openmm.Context(system, openmm.VerletIntegrator(0.0005), platform, {"Threads": number})
        context.setPositions(case.positions / 10)
        results.append((energy_of(context), forces_of(context)))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
