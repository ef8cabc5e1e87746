"""Systems that SO3kratesForce refuses or warns about, with the reason."""

import math
import re
import warnings

import numpy as np
import openmm
import pytest
from cases import load_case
from openmm_helpers import EV, case_context, energy_of, forces_of, make_context, make_force, make_system, positions_of

from openmm_so3krates import Potential, SO3kratesForce


@pytest.fixture
def water():
    return load_case("water")


def refused(system, message, platform="Reference"):
    with pytest.raises(openmm.OpenMMException, match=message):
        openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(platform))


def test_a_smaller_system_than_the_topology(so3lr, water):
    system = openmm.System()
    system.addParticle(16)
    system.addForce(make_force(so3lr, water))
    refused(system, "the System has 1 particles but the force was made for 3; make it from the topology")


def test_a_larger_system(so3lr, water):
    system = make_system(water)
    system.addParticle(1)
    system.addForce(make_force(so3lr, water))
    refused(system, r"the System has 4 particles but the force was made for 3; name the particles it acts on \(atoms=")


def test_an_index_out_of_range(so3lr, water):
    system = make_system(water)
    system.addForce(make_force(so3lr, water, atoms=[0, 1, 3]))
    refused(system, "the System has 3 particles, there is no particle 3")


def test_untrained_elements(so3lr):
    """The force itself refuses them when it is made; one from XML does so at the latest here."""
    force = SO3kratesForce(so3lr, atomic_numbers=[1, 11], atoms=[2, 1], allow_untrained_elements=True)
    xml = openmm.XmlSerializer.serialize(force)
    system = openmm.System()
    for _ in range(3):
        system.addParticle(1)
    system.addForce(force)
    openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    strict = xml.replace('allowUntrainedElements="1"', 'allowUntrainedElements="0"')
    assert strict != xml
    system.removeForce(0)
    system.addForce(openmm.XmlSerializer.deserialize(strict))
    refused(system, "particle 1 has the atomic number 11, which the model .* was not trained on")


def test_a_virtual_site_is_an_atom(so3lr, water, recwarn):
    """As the link atoms of mixed Systems are: OpenMM hands its force on to the atoms it is made of."""
    system = make_system(water)
    system.setParticleMass(2, 0)
    weights = [1.5, -0.5]
    system.setVirtualSite(2, openmm.TwoParticleAverageSite(0, 1, *weights))
    system.addForce(make_force(so3lr, water, precision="double"))
    context = make_context(system, water.positions)
    context.computeVirtualSites()
    positions = positions_of(context) * 10
    np.testing.assert_allclose(positions[2], weights @ positions[:2])
    result = Potential(so3lr, precision="double").compute(water.atomic_numbers, positions)
    assert energy_of(context) == pytest.approx(result.energy * EV, abs=1e-6)
    expected = result.forces[:2] + np.outer(weights, result.forces[2])
    np.testing.assert_allclose(forces_of(context)[:2], expected * EV * 10, rtol=1e-9)
    assert not recwarn.list


def test_a_virtual_site_outside_the_region(so3lr, water):
    system = make_system(water)
    system.addParticle(0)
    system.setVirtualSite(3, openmm.ThreeParticleAverageSite(0, 1, 2, 0.6, 0.2, 0.2))
    system.addForce(make_force(so3lr, water, atoms=[0, 1, 2]))
    context = make_context(system, np.concatenate([water.positions, np.zeros((1, 3))]))
    context.computeVirtualSites()
    np.testing.assert_allclose(forces_of(context)[:3], forces_of(case_context(so3lr, water)), atol=1e-9)


def test_massless_atoms_stay_but_act(so3lr, water):
    system = make_system(water)
    system.setParticleMass(0, 0)
    system.addForce(make_force(so3lr, water))
    with pytest.warns(UserWarning, match=r"1 of its atoms are massless \(the first is particle 0\)"):
        context = make_context(system, water.positions + np.array([[0, 0, 0.1], [0, 0, 0], [0, 0, 0]]))
    before = forces_of(context)
    context.getIntegrator().step(5)
    np.testing.assert_array_equal(positions_of(context)[0], (water.positions[0] + [0, 0, 0.1]) / 10)
    assert np.abs(forces_of(context)[1:] - before[1:]).max() > 1


def test_constraints(so3lr, water):
    system = make_system(water)
    system.addConstraint(0, 1, 0.1)
    system.addConstraint(0, 2, 0.1)
    system.addForce(make_force(so3lr, water))
    with pytest.warns(
        UserWarning, match=r"2 constraints hold its atoms \(the first joins particles 0 and 1\).*0\.5 fs"
    ):
        make_context(system, water.positions)


def test_no_warning_for_what_lies_outside_the_region(so3lr, water):
    system = make_system(water)
    system.addParticle(0)
    system.addParticle(1)
    system.addParticle(1)
    system.addConstraint(4, 5, 0.1)
    system.addForce(make_force(so3lr, water, atoms=[0, 1, 2]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_context(system, np.concatenate([water.positions, np.eye(3)]))


def test_a_warning_can_be_made_an_error(so3lr, water):
    system = make_system(water)
    system.setParticleMass(0, 0)
    system.addForce(make_force(so3lr, water))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(system, "massless")


def test_periodic_without_a_cutoff(so3lr):
    case = load_case("water_64_lr6")
    xml = openmm.XmlSerializer.serialize(make_force(so3lr, case))
    system = make_system(case)
    system.addForce(openmm.XmlSerializer.deserialize(re.sub('lrCutoff="[^"]*"', 'lrCutoff="inf"', xml)))
    refused(system, "a periodic system needs a long-range cutoff")


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_a_degenerate_box(so3lr, water, platform):
    context_system = make_system(water)
    context_system.addForce(make_force(so3lr, water, periodic=True))
    context = make_context(context_system, water.positions, platform)
    context.setPeriodicBoxVectors([1e-5, 0, 0], [0, 2, 0], [0, 0, 2])
    with pytest.raises(openmm.OpenMMException, match=r"(?i)SO3kratesForce: .*(box|cell)"):
        energy_of(context)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_positions_that_cannot_be_computed(so3lr, water, platform):
    context = case_context(so3lr, water, platform)
    energy = energy_of(context)
    coincident = water.positions / 10
    coincident[2] = coincident[1]
    context.setPositions(coincident)
    with pytest.raises(openmm.OpenMMException, match=r"SO3kratesForce: .*1.*2"):
        energy_of(context)
    far = water.positions / 10
    far[1] = math.inf
    context.setPositions(far)
    with pytest.raises(openmm.OpenMMException):
        energy_of(context)
    context.setPositions(water.positions / 10)
    assert energy_of(context) == energy


def test_an_error_in_a_region_says_how_atoms_are_counted(so3lr, water):
    system = openmm.System()
    for _ in range(6):
        system.addParticle(1)
    system.addForce(make_force(so3lr, water, atoms=[3, 4, 5]))
    with pytest.raises(openmm.OpenMMException, match="counted in the order of the force's atoms"):
        energy_of(make_context(system, np.zeros((6, 3))))


def test_openmm_chooses_a_platform_that_knows_the_force(so3lr, water):
    system = make_system(water)
    system.addForce(make_force(so3lr, water))
    context = openmm.Context(system, openmm.VerletIntegrator(0.001))
    assert context.getPlatform().getName() in ("CPU", "CUDA", "OpenCL", "HIP")
