"""What getPrediction says of the current positions of a Context."""

import threading
import time

import numpy as np
import openmm
import pytest
from cases import PARTS, load_case
from openmm import unit
from openmm_helpers import (
    EV,
    KJ_PER_MOL,
    case_context,
    energy_of,
    forces_of,
    make_context,
    make_force,
    make_system,
    positions_of,
)

from openmm_so3krates import SO3kratesForce

E_NM = unit.elementary_charge * unit.nanometer


def force_of(context) -> SO3kratesForce:
    return SO3kratesForce(context.getSystem().getForce(0))


@pytest.mark.parametrize("name", ["ac_ala3_nhme", "acetate", "single_atom", "water_64_triclinic_lr6"])
@pytest.mark.parametrize("platform, tolerance", [("Reference", 1e-8), ("CPU", 2e-5)])
def test_equals_the_original_code(so3lr, name, platform, tolerance):
    case = load_case(name)
    context = case_context(so3lr, case, platform)
    prediction = force_of(context).getPrediction(context)
    charges = prediction.partial_charges.value_in_unit(unit.elementary_charge)
    np.testing.assert_allclose(charges, case.double.partial_charges, rtol=0, atol=tolerance)
    np.testing.assert_allclose(prediction.hirshfeld_ratios, case.double.hirshfeld_ratios, rtol=0, atol=tolerance)
    dipole = 10 * prediction.dipole.value_in_unit(E_NM)
    np.testing.assert_allclose(dipole, case.double.dipole, rtol=0, atol=tolerance * case.num_atoms)
    for part in PARTS:
        energy = prediction.energy_parts[part].value_in_unit(KJ_PER_MOL) / EV
        assert energy == pytest.approx(case.double.energy_parts[part], abs=tolerance * case.num_atoms), part


def test_a_region_of_a_scaled_force(so3lr):
    """Atoms in the force's order; energy parts scaled, all else not, even where the scale is 0."""
    case = load_case("acetate")
    system = openmm.System()
    for _ in range(case.num_atoms + 5):
        system.addParticle(12)
    particles = np.random.default_rng(0).permutation(case.num_atoms + 5)[: case.num_atoms]
    force = make_force(so3lr, case, atoms=particles, scale=-2, scale_parameter="lambda_ml")
    system.addForce(force)
    positions = np.zeros((case.num_atoms + 5, 3))
    positions[particles] = case.positions
    context = make_context(system, positions)
    for parameter in (0.25, 0):
        context.setParameter("lambda_ml", parameter)
        prediction = force.getPrediction(context)
        parts = {part: value.value_in_unit(KJ_PER_MOL) for part, value in prediction.energy_parts.items()}
        assert sum(parts.values()) == pytest.approx(energy_of(context), abs=1e-9)
        expected = {part: -2 * parameter * EV * case.double.energy_parts[part] for part in PARTS}
        assert parts == pytest.approx(expected, abs=1e-6)
        charges = prediction.partial_charges.value_in_unit(unit.elementary_charge)
        np.testing.assert_allclose(charges, case.double.partial_charges, rtol=0, atol=1e-8)
        assert charges.sum() == pytest.approx(-1, abs=1e-10)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_the_dipole_does_not_jump_at_the_box(so3lr, platform):
    case = load_case("water_64_triclinic_lr6")
    context = case_context(so3lr, case, platform, precision="double")
    force = force_of(context)
    before = force.getPrediction(context)
    molecule, shift = slice(9, 12), case.cell[0] / 10
    positions = case.positions / 10
    positions[molecule] += shift
    context.setPositions(positions)
    after = force.getPrediction(context)
    moved = before.partial_charges[molecule].value_in_unit(unit.elementary_charge).sum() * shift
    assert np.abs(moved).max() > 1e-4  # a molecule among others is not quite neutral
    np.testing.assert_allclose((after.dipole - before.dipole).value_in_unit(E_NM), moved, rtol=0, atol=1e-9)


def test_reading_leaves_the_dynamics_alone(so3lr):
    case = load_case("ethanol")
    ends = []
    for read in (False, True):
        system = make_system(case)
        force = make_force(so3lr, case)
        system.addForce(force)
        context = make_context(system, case.positions, "CPU", integrator := openmm.VerletIntegrator(0.0005))
        for _ in range(5):
            integrator.step(1)
            if read:
                force.getPrediction(context)
        ends.append((positions_of(context), forces_of(context), energy_of(context)))
    for without, with_ in zip(*ends, strict=True):
        np.testing.assert_array_equal(without, with_)


def test_a_model_without_charges(other_model):
    case = load_case("ethanol")
    context = case_context(other_model, case)
    prediction = force_of(context).getPrediction(context)
    assert (prediction.partial_charges.value_in_unit(unit.elementary_charge) == 0).all()
    assert (prediction.hirshfeld_ratios == 1).all()
    assert (prediction.dipole.value_in_unit(E_NM) == 0).all()


def test_only_in_its_own_context(so3lr):
    case = load_case("ethanol")
    context = case_context(so3lr, case)
    with pytest.raises(openmm.OpenMMException, match=r"not part of the Context's System; use the one that was added"):
        make_force(so3lr, case).getPrediction(context)
    with pytest.raises(TypeError, match=r"an openmm\.Context is needed, not a System"):
        force_of(context).getPrediction(context.getSystem())
    context.setPositions(np.zeros((case.num_atoms, 3)))
    with pytest.raises(openmm.OpenMMException, match=r"atoms 0 and 1 .* are at the same place"):
        force_of(context).getPrediction(context)


def test_other_threads_go_on(so3lr):
    """Python's lock is not held while the engine computes, for a good part of a second."""
    context = case_context(so3lr, load_case("water_512"))
    started, finished = threading.Event(), threading.Event()

    def other_thread():
        started.wait()
        for _ in range(20):
            time.sleep(0.001)  # comes back only if it gets the lock
        finished.set()

    thread = threading.Thread(target=other_thread)
    thread.start()
    started.set()
    force_of(context).getPrediction(context)
    was_finished = finished.is_set()
    thread.join()
    assert was_finished
