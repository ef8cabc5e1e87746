"""Several models in one System: differences in force groups and multiple time stepping with them."""

import sys
from pathlib import Path

import numpy as np
import openmm
import pytest
from cases import load_case
from openmm import unit
from openmm_helpers import case_context, energy_of, forces_of, make_context, make_force, make_system, positions_of

from openmm_so3krates import SO3kratesForce

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import multiple_time_stepping

OUTER, INNER = 0, 1


def split_system(model, small, case) -> openmm.System:
    """The model as (model - small) in group OUTER and small in group INNER; double precision."""
    system = make_system(case)
    for name, scale, group in ((model, 1, OUTER), (small, -1, OUTER), (small, 1, INNER)):
        force = make_force(name, case, scale=scale, precision="double")
        force.setForceGroup(group)
        system.addForce(force)
    return system


def moving(case, system, integrator, temperature=300) -> openmm.Context:
    context = make_context(system, case.positions, "CPU", integrator)
    context.setVelocitiesToTemperature(temperature, 5)
    return context


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_the_difference_of_two_models_in_a_group(so3lr, other_model, platform):
    case = load_case("ethanol")
    context = make_context(split_system(so3lr, other_model, case), case.positions, platform)
    large = case_context(so3lr, case, platform, precision="double")
    small = case_context(other_model, case, platform, precision="double")
    assert energy_of(context, {OUTER}) == pytest.approx(energy_of(large) - energy_of(small), rel=1e-12)
    assert energy_of(context, {INNER}) == energy_of(small)
    np.testing.assert_allclose(forces_of(context, {OUTER}), forces_of(large) - forces_of(small), rtol=0, atol=1e-9)
    np.testing.assert_allclose(forces_of(context), forces_of(large), rtol=0, atol=1e-9)


def test_one_substep_is_the_large_model_alone(so3lr, other_model):
    """Without friction MTSLangevin with one inner step and LangevinMiddle are the same integrator."""
    case = load_case("ethanol")
    split = openmm.MTSLangevinIntegrator(300, 0, 0.0005, [(OUTER, 1), (INNER, 1)])
    alone = openmm.LangevinMiddleIntegrator(300, 0, 0.0005)
    system = make_system(case)
    system.addForce(make_force(so3lr, case, precision="double"))
    first = moving(case, split_system(so3lr, other_model, case), split)
    second = moving(case, system, alone)
    split.step(20)
    alone.step(20)
    assert np.abs(positions_of(second) - case.positions / 10).max() > 1e-3
    np.testing.assert_allclose(positions_of(first), positions_of(second), rtol=0, atol=1e-10)


def test_multiple_time_steps_converge_to_the_large_model(so3lr, other_model):
    """The end of a trajectory of 8 fs: its error is of second order in the outer step, forces being exact."""
    case = load_case("ethanol")

    def end(system, integrator, steps):
        context = moving(case, system, integrator)
        integrator.step(steps)
        return positions_of(context)

    system = make_system(case)
    system.addForce(make_force(so3lr, case, precision="double"))
    exact = end(system, openmm.MTSIntegrator(0.00002, [(0, 1)]), 400)
    errors = []
    for outer_step in (0.001, 0.0005):
        integrator = openmm.MTSIntegrator(outer_step, [(OUTER, 1), (INNER, 4)])
        positions = end(split_system(so3lr, other_model, case), integrator, round(0.008 / outer_step))
        errors.append(np.abs(positions - exact).max())
    assert 3.5 < errors[0] / errors[1] < 4.5


def test_example(so3lr, other_model, capsys):
    pdb = Path(__file__).parents[2] / "examples/ac_ala3_nhme.pdb"
    multiple_time_stepping.main(
        [str(pdb), "--model", str(so3lr), "--inner", str(other_model), "--time", "0.02", "--platform", "CPU"]
    )
    header, *lines = capsys.readouterr().out.splitlines()
    table = np.array([line.split() for line in lines], float)
    assert len(header.split("  ")) >= 4 and table.shape == (10, 4)
    np.testing.assert_allclose(table[:, 0], 0.002 * np.arange(1, 11), atol=1e-9)
    # Half of the kinetic energy goes into the minimised structure's vibrations.
    assert 100 < table[-1, 2] < 350


def test_the_examples_system_is_the_large_model(so3lr, other_model):
    pdb = openmm.app.PDBFile(str(Path(__file__).parents[2] / "examples/ac_ala3_nhme.pdb"))
    system = multiple_time_stepping.make_system(pdb.topology, str(so3lr), str(other_model), precision="double")
    positions = pdb.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    context = make_context(system, positions)
    alone = openmm.System()
    for atom in pdb.topology.atoms():
        alone.addParticle(atom.element.mass)
    alone.addForce(SO3kratesForce(so3lr, pdb.topology, precision="double"))
    reference = make_context(alone, positions)
    assert energy_of(context) == pytest.approx(energy_of(reference), rel=1e-11)
    assert energy_of(context, {multiple_time_stepping.INNER}) != 0
    np.testing.assert_allclose(forces_of(context), forces_of(reference), rtol=0, atol=1e-8)
