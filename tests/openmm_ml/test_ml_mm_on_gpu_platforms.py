"""A region beside PME, rigid water and virtual sites on OpenMM's GPU platforms.

What OpenMM's Reference and the engine compute of the parts is what the platform has to compute of the whole. OpenCL by
PoCL (`apt-get install pocl-opencl-icd`); CUDA needs a GPU (`pytest -m gpu`).
"""

import numpy as np
import openmm
import pytest
from openmm import unit

from openmm_so3krates import Potential, SO3kratesForce, platforms

EV = 96.48533212331  # kJ/mol
REGION = list(range(22))  # the dipeptide
PME_NEAR, PME_FAR, MODEL = 1, 2, 3  # force groups
PARTS = {PME_NEAR, PME_FAR, MODEL}
GROUPS = [PARTS, {MODEL}, {PME_NEAR}, {PME_FAR, MODEL}, {PME_FAR}, {MODEL}, PARTS]
# Parts are of 6e4 kJ/mol and 2e3 kJ/mol/nm.
ENERGY = {"single": 0.05, "mixed": 0.05, "double": 0.02}  # kJ/mol
FORCES = {"single": 0.05, "mixed": 0.05, "double": 2e-3}  # kJ/mol/nm


@pytest.fixture(scope="module", params=["OpenCL", pytest.param("CUDA", marks=pytest.mark.gpu)])
def platform(request) -> str:
    names = [openmm.Platform.getPlatform(index).getName() for index in range(openmm.Platform.getNumPlatforms())]
    if request.param not in names:
        pytest.skip(f"no {request.param} here (OpenCL on Debian: apt-get install pocl-opencl-icd)")
    assert platforms.problems == {}
    return request.param


def mixed_system(solvated) -> openmm.System:
    """Model inside, force field across, by hand: OpenMM-ML cannot read the water's virtual sites.

    The model and both parts of PME, which is the same on all platforms, have a force group each.
    """
    system = solvated.mm_system(rigidWater=True)
    for index in reversed(range(system.getNumForces())):
        if not isinstance(system.getForce(index), openmm.NonbondedForce):
            system.removeForce(index)  # bonded terms, all inside the region: the water is rigid
    (nonbonded,) = system.getForces()
    for k, first in enumerate(REGION):
        for second in REGION[:k]:
            nonbonded.addException(first, second, 0, 1, 0, replace=True)
    nonbonded.setPMEParameters(4.5, 32, 32, 32)
    nonbonded.setForceGroup(PME_NEAR)
    nonbonded.setReciprocalSpaceForceGroup(PME_FAR)
    force = SO3kratesForce("so3lr", solvated.topology, atoms=REGION, lr_cutoff=0.7, precision="double")
    force.setForceGroup(MODEL)
    system.addForce(force)
    return system


def context_on(platform, system, positions, integrator=None, **properties) -> openmm.Context:
    integrator = integrator or openmm.VerletIntegrator(0.0005)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform), properties)
    context.setPositions(positions)
    context.computeVirtualSites()
    return context


def state_of(context, groups=-1) -> tuple[float, np.ndarray]:
    state = context.getState(energy=True, forces=True, groups=groups)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole), forces


def positions_of(context) -> np.ndarray:
    return context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)


class Parts:
    """What the groups come to by themselves: the force field on Reference, the model by the engine without OpenMM."""

    def __init__(self, so3lr, solvated, system):
        self.numbers = [atom.element.atomic_number for atom in list(solvated.topology.atoms())[: len(REGION)]]
        self.potential = Potential(so3lr, precision="double", lr_cutoff=7.0)
        force_field = openmm.XmlSerializer.clone(system)
        (model,) = (k for k, force in enumerate(force_field.getForces()) if force.getForceGroup() == MODEL)
        force_field.removeForce(model)
        self.reference = context_on("Reference", force_field, solvated.positions)
        self.cell = solvated.box * 10

    def at(self, positions) -> dict[int, tuple[float, np.ndarray]]:
        self.reference.setPositions(positions)
        parts = {group: state_of(self.reference, {group}) for group in (PME_NEAR, PME_FAR)}
        model = self.potential.compute(self.numbers, positions[REGION] * 10, self.cell)
        forces = np.zeros_like(positions)
        forces[REGION] = model.forces * EV * 10
        return parts | {MODEL: (model.energy * EV, forces)}


def assert_sum_of_parts(context, parts, precision):
    """All together and group by group, one after the other."""
    expected = parts.at(positions_of(context))
    for groups in GROUPS:
        energy, forces = state_of(context, groups)
        assert energy == pytest.approx(sum(expected[g][0] for g in groups), abs=ENERGY[precision]), groups
        summed = sum(expected[g][1] for g in groups)
        np.testing.assert_allclose(forces, summed, rtol=0, atol=FORCES[precision], err_msg=str(groups))


@pytest.mark.parametrize(
    ("box", "precision"),
    [("solvated_box", "single"), ("box_with_virtual_sites", "mixed"), ("box_with_virtual_sites", "double")],
)
def test_sum_of_parts(so3lr, platform, request, box, precision):
    """At the beginning, and after OpenMM has sorted its atoms anew, as it does after 250 steps."""
    solvated = request.getfixturevalue(box)
    system = mixed_system(solvated)
    parts = Parts(so3lr, solvated, system)
    context = context_on(platform, system, solvated.positions, Precision=precision)
    assert_sum_of_parts(context, parts, precision)
    context.setVelocitiesToTemperature(300, 1)
    context.getIntegrator().step(5)
    assert_sum_of_parts(context, parts, precision)
    moved = positions_of(context) + np.array([0.0, 1.7, -3.9])
    context.setPositions(moved)
    assert_sum_of_parts(context, parts, precision)
    context.getIntegrator().step(250)
    assert_sum_of_parts(context, parts, precision)


def test_dynamics(so3lr, platform, box_with_virtual_sites):
    """A few steps of 0.5 fs in double precision: where Reference gets, all of it computed there."""
    system = mixed_system(box_with_virtual_sites)
    ends = {}
    for name, properties in ((platform, {"Precision": "double"}), ("Reference", {})):
        integrator = openmm.LangevinMiddleIntegrator(300, 0, 0.0005)  # without friction there is no noise
        integrator.setConstraintTolerance(1e-9)
        context = context_on(name, system, box_with_virtual_sites.positions, integrator, **properties)
        velocities = np.random.default_rng(1).normal(scale=0.3, size=box_with_virtual_sites.positions.shape)  # nm/ps
        context.setVelocities(velocities)
        context.applyVelocityConstraints(1e-9)
        integrator.step(20)
        ends[name] = positions_of(context)
    assert np.abs(ends["Reference"] - box_with_virtual_sites.positions).max() > 5e-3
    np.testing.assert_allclose(ends[platform], ends["Reference"], rtol=0, atol=1e-7)
