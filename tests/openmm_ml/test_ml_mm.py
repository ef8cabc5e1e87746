"""A region computed by the model inside MM surroundings: every interaction counted once, by whom it belongs to."""

import numpy as np
import openmm
import pytest
from openmm import app, unit
from openmmml import MLPotential

from openmm_so3krates import Potential, SO3kratesForce

EV = 96.48533212331  # kJ/mol
REGION = list(range(22))  # the dipeptide
ML_GROUP = 1


def mixed_system(solvated, **settings):
    potential = MLPotential("so3lr")
    return potential.createMixedSystem(
        solvated.topology, solvated.mm_system(**settings), REGION, forceGroup=ML_GROUP, lrCutoff=0.9, precision="double"
    )


def test_model_inside_force_field_across(so3lr, drop, energy_and_forces):
    """Mixed = MM of everything - MM of the region alone + model of the region alone, without a box exactly."""
    mixed = energy_and_forces(mixed_system(drop), drop.positions)
    everything = energy_and_forces(drop.mm_system(), drop.positions)
    alone = drop.region_alone()
    inside = energy_and_forces(alone.mm_system(), alone.positions)
    model = drop.model_result(so3lr, lr_cutoff=9.0)
    assert mixed[0] == pytest.approx(everything[0] - inside[0] + model.energy * EV, abs=1e-5)
    expected = everything[1].copy()
    expected[REGION] += model.forces * EV * 10 - inside[1]
    np.testing.assert_allclose(mixed[1], expected, rtol=0, atol=1e-4)
    assert np.abs(mixed[1] - everything[1])[REGION].max() > 100


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_model_acts_on_its_region_only(so3lr, solvated_box, platform, energy_and_forces):
    """In a box the model's force group is the model of the region alone and of its images."""
    system = mixed_system(solvated_box)
    energy, forces = energy_and_forces(system, solvated_box.positions, groups={ML_GROUP}, platform=platform)
    model = solvated_box.model_result(so3lr, lr_cutoff=9.0)
    assert energy == pytest.approx(model.energy * EV, abs=1e-3)
    np.testing.assert_allclose(forces[REGION], model.forces * EV * 10, rtol=0, atol=1e-2)
    assert not np.delete(forces, REGION, axis=0).any()


def test_forces_are_the_gradient_of_the_energy(so3lr, solvated_box):
    """Of the whole mixed System with its PME, along random directions of the region and of everything."""
    smooth = {"switchDistance": 0.6 * unit.nanometer, "ewaldErrorTolerance": 1e-6}
    system = mixed_system(solvated_box, rigidWater=False, **smooth)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    positions = solvated_box.positions

    def state_at(moved):
        context.setPositions(moved)
        return context.getState(energy=True, forces=True)

    forces = state_at(positions).getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    step = 1e-5  # nm
    for atoms in (REGION, list(range(len(positions)))):
        direction = np.zeros_like(positions)
        direction[atoms] = np.random.default_rng(1).normal(size=(len(atoms), 3))
        energies = [
            state_at(positions + sign * step * direction).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
            for sign in (1, -1)
        ]
        slope = -(energies[0] - energies[1]) / (2 * step)
        # Charges that cross the cutoff of PME's near part let the energy jump a little.
        assert slope == pytest.approx(np.sum(forces * direction), abs=1e-3 * np.linalg.norm(forces * direction))


def test_constraints_remain_outside_only(so3lr, solvated_box):
    system = mixed_system(solvated_box, constraints=app.HBonds)
    pairs = [system.getConstraintParameters(i)[:2] for i in range(system.getNumConstraints())]
    waters = (len(solvated_box.positions) - len(REGION)) // 3
    assert len(pairs) == 3 * waters
    assert not set(REGION) & {particle for pair in pairs for particle in pair}


def test_molecules_stay_whole(so3lr, solvated_box):
    """The force field's bonds inside the region are gone; the model's force tells OpenMM what a molecule is."""
    system = mixed_system(solvated_box)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU"))
    molecules = [sorted(molecule) for molecule in context.getMolecules()]
    assert REGION in molecules
    assert len(molecules) == 1 + (len(solvated_box.positions) - len(REGION)) // 3


def test_by_hand(so3lr, drop, energy_and_forces):
    """A drop in which some water belongs to the region, by SO3kratesForce(atoms=…) and hand-made exclusions."""
    region = REGION + list(range(len(REGION), len(REGION) + 6))
    mixed = MLPotential("so3lr").createMixedSystem(drop.topology, drop.mm_system(), region, precision="double")
    system = drop.mm_system(constraints=None, rigidWater=False)
    inside = set(region)
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            for k, first in enumerate(region):
                for second in region[:k]:
                    force.addException(first, second, 0, 1, 0, replace=True)
        elif isinstance(force, openmm.HarmonicBondForce):
            for i in range(force.getNumBonds()):
                *atoms, length, k = force.getBondParameters(i)
                force.setBondParameters(i, *atoms, length, 0 * k if inside.issuperset(atoms) else k)
        elif isinstance(force, openmm.HarmonicAngleForce):
            for i in range(force.getNumAngles()):
                *atoms, angle, k = force.getAngleParameters(i)
                force.setAngleParameters(i, *atoms, angle, 0 * k if inside.issuperset(atoms) else k)
        elif isinstance(force, openmm.PeriodicTorsionForce):
            for i in range(force.getNumTorsions()):
                *atoms, n, phase, k = force.getTorsionParameters(i)
                force.setTorsionParameters(i, *atoms, n, phase, 0 * k if inside.issuperset(atoms) else k)
        elif isinstance(force, openmm.CMAPTorsionForce):
            raise AssertionError("amber14's alanine dipeptide has no CMAP")
    system.addForce(SO3kratesForce("so3lr", drop.topology, atoms=region, precision="double"))
    by_hand, by_openmm_ml = (energy_and_forces(s, drop.positions) for s in (system, mixed))
    # Flexible water outside has bond terms that a rigid one lacks.
    outside = energy_and_forces(drop.mm_system(constraints=None, rigidWater=False), drop.positions)[0]
    rigid = energy_and_forces(drop.mm_system(), drop.positions)[0]
    assert by_hand[0] - outside == pytest.approx(by_openmm_ml[0] - rigid, abs=1e-3)


# CustomCVForce, by which OpenMM-ML interpolates, shows its forces a System without virtual sites.
@pytest.mark.filterwarnings("ignore:SO3kratesForce. 1 of its atoms are massless")
@pytest.mark.parametrize("interpolate", [False, True])
def test_a_region_cut_out_of_a_molecule(so3lr, drop, interpolate):
    """The methyl group of alanine: OpenMM-ML caps the bond to the backbone by a hydrogen, a virtual site."""
    methyl = [atom.index for atom in drop.topology.atoms() if atom.name in ("CB", "HB1", "HB2", "HB3")]
    info = MLPotential("so3lr").createMixedSystem(
        drop.topology,
        drop.mm_system(),
        methyl,
        forceGroup=ML_GROUP,
        precision="double",
        interpolate=interpolate,
        returnInfo=True,
    )
    system, cap = info["system"], len(drop.positions)
    assert system.isVirtualSite(cap) and system.getNumParticles() == cap + 1
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))

    def state_at(positions, **groups):
        context.setPositions(np.vstack([positions, np.zeros(3)]))
        context.computeVirtualSites()
        return context.getState(energy=True, forces=True, positions=True, **groups)

    if not interpolate:
        state = state_at(drop.positions, groups={ML_GROUP})
        placed = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)[[*methyl, cap]]
        assert 0.9 < np.linalg.norm(placed[0] - placed[-1]) < 1.2
        methane = Potential(so3lr, precision="double").compute([6, 1, 1, 1, 1], placed)
        assert state.getPotentialEnergy() / unit.kilojoule_per_mole == pytest.approx(methane.energy * EV, abs=1e-6)

    forces = state_at(drop.positions).getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    direction = np.zeros_like(drop.positions)
    direction[REGION] = np.random.default_rng(1).normal(size=(len(REGION), 3))
    step = 1e-5  # nm
    energies = [
        state_at(drop.positions + sign * step * direction).getPotentialEnergy() / unit.kilojoule_per_mole
        for sign in (1, -1)
    ]
    slope = -(energies[0] - energies[1]) / (2 * step)
    assert slope == pytest.approx(np.sum(forces[:cap] * direction), abs=1e-2)
