"""SO3kratesForce on OpenMM's GPU platforms: the same as on Reference, whatever OpenMM does to its arrays.

OpenCL runs anywhere with PoCL (`apt-get install pocl-opencl-icd`), and shares the code that moves positions and forces
with CUDA, whose tests need a GPU (`pytest -m gpu`).
"""

import gc

import numpy as np
import openmm
import pytest
from cases import load_case
from openmm import unit
from openmm_helpers import (
    EV,
    box_of,
    energy_of,
    forces_of,
    make_context,
    make_force,
    make_system,
    positions_of,
)

from openmm_so3krates import SO3kratesForce, platforms

STEP = 0.0005  # ps
PRECISIONS = ("single", "mixed", "double")
# OpenMM's own rounding of positions and forces: relative to 2 nm and to 1e4 kJ/mol/nm. In mixed precision positions are
# exact, but some platforms hand forces out in single.
POSITIONS = {"single": 2e-7, "mixed": 1e-11, "double": 1e-14}
FORCES = {"single": 0.1, "mixed": 2e-3, "double": 1e-6}


@pytest.fixture(scope="module", params=["OpenCL", pytest.param("CUDA", marks=pytest.mark.gpu)])
def platform(request) -> str:
    name = request.param
    names = [openmm.Platform.getPlatform(index).getName() for index in range(openmm.Platform.getNumPlatforms())]
    if name not in names:
        pytest.skip("no OpenCL here (Debian: apt-get install pocl-opencl-icd)" if name == "OpenCL" else f"no {name}")
    assert platforms.problems == {}
    return name


def gpu_context(system, positions, platform, precision="double", integrator=None):
    return make_context(system, positions, platform, integrator, Precision=precision)


def context_of(so3lr, case, platform, precision="double", integrator=None, engine="double"):
    """The engine computes in double, so that all differences arise on the way between it and OpenMM."""
    system = make_system(case)
    system.addForce(make_force(so3lr, case, precision=engine))
    return gpu_context(system, case.positions, platform, precision, integrator)


def assert_as_on_reference(context, precision="double", groups=-1):
    """Energy and forces at the Context's positions and box."""
    state = context.getState(positions=True)
    system = openmm.XmlSerializer.clone(context.getSystem())
    reference = openmm.Context(system, openmm.VerletIntegrator(STEP), openmm.Platform.getPlatformByName("Reference"))
    reference.setPeriodicBoxVectors(*state.getPeriodicBoxVectors())
    reference.setPositions(state.getPositions(asNumpy=True))
    expected, forces = energy_of(reference, groups), forces_of(reference, groups)
    # 1e4 kJ/mol/nm is what bonds pull with.
    energy_error = 1e4 * POSITIONS[precision] * np.sqrt(forces.size) + 1e-9 * abs(expected)
    assert energy_of(context, groups) == pytest.approx(expected, abs=energy_error)
    np.testing.assert_allclose(forces_of(context, groups), forces, rtol=0, atol=FORCES[precision])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["acetate", "water_64_triclinic_lr6"])
def test_whole_systems(so3lr, platform, name, precision):
    context = context_of(so3lr, load_case(name), platform, precision)
    assert_as_on_reference(context, precision)


def test_in_the_context_precision_by_default(so3lr, platform):
    """Single with a single and mixed Context, double with a double one."""
    case = load_case("ethanol")
    for precision, tolerance in (("single", 1e-3), ("double", 1e-9)):
        context = context_of(so3lr, case, platform, precision, engine="auto")
        error = np.abs(forces_of(context) / (10 * EV) - case.double.forces).max()
        assert error < tolerance
        if precision == "single":
            assert error > 1e-9


def test_what_computes(so3lr, platform):
    context = context_of(so3lr, load_case("water"), platform)
    force = SO3kratesForce(context.getSystem().getForce(0))
    for _ in range(2):
        forces_of(context)
    name = force.getImplementation(context)
    if platform == "CUDA":
        assert name.startswith("CUDA ") and " double" in name and name.endswith(", CUDA graph")
    else:
        assert name.startswith("CPU ") and name.endswith(" double, exact radial networks")


def test_denser_than_before(so3lr, platform):
    """Neighbor lists that no longer fit are made larger within the evaluation, and recorded anew."""
    case = load_case("water_64_lr6")
    context = context_of(so3lr, case, platform)
    for scale in (3, 3, 1, 1, 3, 1):
        context.setPeriodicBoxVectors(*(scale * case.cell / 10))
        molecules = case.positions.reshape(-1, 3, 3)
        shifts = (scale - 1) * molecules[:, :1]
        context.setPositions((molecules + shifts).reshape(-1, 3) / 10)
        assert_as_on_reference(context)


def a_mixture(so3lr, periodic, convert=lambda force: force):
    """Two waters at opposite edges of the box among argons of the waters' masses, the waters' atoms in any order."""
    case = load_case("two_waters_far")
    generator = np.random.default_rng(0)
    count = 60
    particles = generator.permutation(count)[: case.num_atoms]
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors([3, 0, 0], [0.3, 3, 0], [-0.2, 0.4, 3])
    argons = openmm.NonbondedForce()
    argons.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    argons.setCutoffDistance(0.9)
    for particle in range(count):
        system.addParticle(16)
        # The waters feel nothing of the argons. Exclusions would tell OpenMM what belongs together.
        argons.addParticle(0, 0.3, 0.0 if particle in particles else 0.1)
    system.addForce(argons)
    force = convert(make_force(so3lr, case, atoms=particles, precision="double", periodic=periodic, lr_cutoff=1.2))
    force.setForceGroup(1)
    system.addForce(force)
    grid = np.stack(np.meshgrid(*3 * [np.arange(5)]), -1).reshape(-1, 3) * 6.0 + 1.0
    positions = generator.permutation(grid)[:count]
    # The second water lies in the neighboring cell, seen from the first.
    positions[particles] = case.positions - case.positions[:3].mean(axis=0) + [29.8, 1.0, 29.7]
    return system, positions, particles


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("periodic", [False, True], ids=["molecule", "periodic"])
def test_a_region_whose_atoms_are_reordered_and_wrapped(so3lr, platform, periodic, precision):
    """Every 250 steps OpenMM sorts particles by place and moves molecules into the box."""
    system, positions, particles = a_mixture(so3lr, periodic)
    context = gpu_context(system, positions, platform, precision)
    assert np.any(positions[particles] > 30)
    assert_as_on_reference(context, precision, {1})
    context.setVelocitiesToTemperature(300, 1)
    context.getIntegrator().step(520)
    assert_as_on_reference(context, precision, {1})
    assert np.all(np.delete(forces_of(context, {1}), particles, axis=0) == 0)


def test_a_python_force_sees_molecules_whole(so3lr, platform):
    """OpenMM takes atoms without bonds for molecules and wraps each, but a PythonForce gets them as they were:
    of a region, and of a whole System (here two waters), neither with a box, beside a force that has one."""
    system, positions, particles = a_mixture(so3lr, False, SO3kratesForce.to_python_force)
    alone = openmm.System()
    alone.setDefaultPeriodicBoxVectors(*system.getDefaultPeriodicBoxVectors())
    argons = openmm.NonbondedForce()
    argons.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    argons.setCutoffDistance(0.9)
    case = load_case("two_waters_far")
    for _ in range(case.num_atoms):
        alone.addParticle(16)
        argons.addParticle(0, 0.3, 0)
    alone.addForce(argons)
    force = make_force(so3lr, case, precision="double", periodic=False, lr_cutoff=1.2).to_python_force()
    force.setForceGroup(1)
    alone.addForce(force)
    for some, places in ((system, positions), (alone, positions[particles])):
        context = gpu_context(some, places, platform)
        for _ in range(2):
            assert_as_on_reference(context, groups={1})
            context.setVelocitiesToTemperature(300, 1)
            context.getIntegrator().step(260)


def test_positions_need_not_be_wrapped(so3lr, platform):
    case = load_case("water_64_triclinic_lr6")
    context = context_of(so3lr, case, platform)
    energy, forces = energy_of(context), forces_of(context)
    images = np.random.default_rng(0).integers(-2, 3, size=(case.num_atoms, 3))
    context.setPositions((case.positions + images @ case.cell) / 10)
    assert energy_of(context) == pytest.approx(energy, abs=1e-6)
    np.testing.assert_allclose(forces_of(context), forces, rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", ["mixed", "double"])
def test_barostat(so3lr, platform, precision):
    """The box changes, and what the Context holds afterwards is what Reference computes."""
    case = load_case("water_8_smallcell")
    system = make_system(case)
    system.addForce(make_force(so3lr, case, lr_cutoff=0.6, precision="double"))
    barostat = openmm.MonteCarloBarostat(1, 300, 2)
    barostat.setRandomNumberSeed(3)
    system.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(300, 10, STEP)
    integrator.setRandomNumberSeed(1)
    context = gpu_context(system, case.positions, platform, precision, integrator)
    context.setVelocitiesToTemperature(300, 1)
    integrator.step(20)
    assert np.abs(box_of(context) - case.cell / 10).max() > 1e-4
    assert_as_on_reference(context, precision)


def test_checkpoint(so3lr, platform):
    """A run continued from a checkpoint gives the same bits as one that was not interrupted."""
    case = load_case("ethanol")
    integrator = openmm.LangevinMiddleIntegrator(300, 10, STEP)
    integrator.setRandomNumberSeed(1)
    context = context_of(so3lr, case, platform, "mixed", integrator)
    context.setVelocitiesToTemperature(300, 1)
    integrator.step(10)
    checkpoint = context.createCheckpoint()
    integrator.step(20)
    expected = positions_of(context)
    context.loadCheckpoint(checkpoint)
    integrator.step(20)
    np.testing.assert_array_equal(positions_of(context), expected)


def test_two_contexts_in_turn(so3lr, platform):
    cases = [load_case(name) for name in ("ethanol", "acetate")]
    contexts = [context_of(so3lr, case, platform) for case in cases]
    for _ in range(2):
        for case, context in zip(cases, contexts, strict=True):
            context.setPositions(case.positions / 10)
            assert energy_of(context) / EV == pytest.approx(case.double.energy, abs=1e-7)
            np.testing.assert_allclose(forces_of(context) / (10 * EV), case.double.forces, rtol=0, atol=1e-8)
    contexts.pop(0)
    gc.collect()
    contexts[0].getIntegrator().step(1)
    assert_as_on_reference(contexts[0])


def test_parameters_and_predictions(so3lr, platform):
    """Charge, scale, its parameter and derivative, force groups, charges and energy parts, in one Context."""
    case = load_case("acetate")
    system = make_system(case)
    force = make_force(so3lr, case, charge=0, precision="double", scale=2, scale_parameter="lambda_ml")
    force.addEnergyParameterDerivative("lambda_ml")
    force.setForceGroup(3)
    system.addForce(force)
    context = gpu_context(system, case.positions, platform)
    force.setCharge(case.charge)
    force.updateParametersInContext(context)
    exact = case.double
    for value in (0.5, 0, -1):
        context.setParameter("lambda_ml", value)
        assert energy_of(context, {3}) / EV == pytest.approx(2 * value * exact.energy, abs=1e-6)
        assert energy_of(context, {0}) == 0
        np.testing.assert_allclose(forces_of(context) / (10 * EV), 2 * value * exact.forces, rtol=0, atol=1e-8)
        derivative = context.getState(parameterDerivatives=True).getEnergyParameterDerivatives()["lambda_ml"]
        assert derivative / EV == pytest.approx(2 * exact.energy, abs=1e-6)
    before = forces_of(context)
    prediction = force.getPrediction(context)
    charges = prediction.partial_charges.value_in_unit(unit.elementary_charge)
    np.testing.assert_allclose(charges, exact.partial_charges, rtol=0, atol=1e-8)
    dipole = prediction.dipole.value_in_unit(unit.elementary_charge * unit.nanometer)
    np.testing.assert_allclose(10 * dipole, exact.dipole, rtol=0, atol=1e-7)
    assert prediction.energy_parts["network"].value_in_unit(unit.kilojoule_per_mole) / EV == pytest.approx(
        -2 * exact.energy_parts["network"], abs=1e-7
    )
    np.testing.assert_array_equal(forces_of(context), before)


def test_the_dipole_is_of_the_positions_that_a_state_shows(so3lr, platform):
    """Also where OpenMM has moved the molecule into the box."""
    system, positions, particles = a_mixture(so3lr, periodic=False)
    context = gpu_context(system, positions + np.array([0.0, 0.0, 60.0]), platform)
    context.getIntegrator().step(260)
    prediction = SO3kratesForce(system.getForce(1)).getPrediction(context)
    charges = prediction.partial_charges.value_in_unit(unit.elementary_charge)
    dipole = prediction.dipole.value_in_unit(unit.elementary_charge * unit.nanometer)
    np.testing.assert_allclose(dipole, charges @ positions_of(context)[particles], rtol=0, atol=1e-9)
    assert positions_of(context)[particles, 2].min() > 5


def test_inside_a_custom_cv_force(so3lr, platform):
    """The force computes in an inner Context that shares the outer one's device."""
    case = load_case("ethanol")
    system = make_system(case)
    mixture = openmm.CustomCVForce("fraction*energy")
    mixture.addGlobalParameter("fraction", 0.25)
    mixture.addCollectiveVariable("energy", make_force(so3lr, case, precision="double"))
    system.addForce(mixture)
    context = gpu_context(system, case.positions, platform)
    assert energy_of(context) / EV == pytest.approx(0.25 * case.double.energy, abs=1e-7)
    np.testing.assert_allclose(forces_of(context) / (10 * EV), 0.25 * case.double.forces, rtol=0, atol=1e-8)


def test_positions_that_cannot_be_computed(so3lr, platform):
    case = load_case("water")
    context = context_of(so3lr, case, platform)
    energy = energy_of(context)
    coincident = case.positions / 10
    coincident[2] = coincident[1]
    context.setPositions(coincident)
    with pytest.raises(openmm.OpenMMException, match=r"SO3kratesForce: .*1.*2"):
        forces_of(context)
    context.setPositions(case.positions / 10)
    assert energy_of(context) == energy


def test_energy_conservation(so3lr, platform):
    """50 fs of NVE in mixed precision, forces in single: the energy stays what it was, though its parts do not."""
    case = load_case("ethanol")
    context = context_of(so3lr, case, platform, "mixed", engine="single")
    context.setVelocitiesToTemperature(300, 1)

    def energies():
        state = context.getState(energy=True)
        return np.array(
            [e.value_in_unit(unit.kilojoule_per_mole) for e in (state.getPotentialEnergy(), state.getKineticEnergy())]
        )

    trajectory = []
    for _ in range(25):
        context.getIntegrator().step(4)
        trajectory.append(energies())
    trajectory = np.array(trajectory)
    assert np.ptp(trajectory[:, 0]) > 10
    assert np.ptp(trajectory.sum(axis=1)) < 0.05 * np.ptp(trajectory[:, 0])


def test_contexts_come_and_go(so3lr, platform):
    case = load_case("water")
    for _ in range(3 if platform == "OpenCL" else 1000):
        context = context_of(so3lr, case, platform, "single")
        assert energy_of(context) / EV == pytest.approx(case.double.energy, abs=1e-3)
        del context
