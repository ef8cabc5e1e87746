"""Alanine dipeptide in water with an MM force field, in a drop and in a box."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_so3krates import Potential

DIPEPTIDE = Path(__file__).parents[2] / "examples/alanine_dipeptide.pdb"
REGION = list(range(22))


@dataclass
class Solvated:
    topology: app.Topology
    positions: np.ndarray  # (N, 3) nm
    box: np.ndarray | None  # (3, 3) nm
    forcefield: app.ForceField = field(repr=False)

    @property
    def atomic_numbers(self) -> np.ndarray:
        return np.array([atom.element.atomic_number for atom in self.topology.atoms()])

    def mm_system(self, **settings) -> openmm.System:
        if self.box is not None:
            settings = {"nonbondedMethod": app.PME, "nonbondedCutoff": 0.7 * unit.nanometer} | settings
        return self.forcefield.createSystem(self.topology, **settings)

    def region_alone(self) -> Solvated:
        """The dipeptide by itself, without a box."""
        modeller = app.Modeller(self.topology, self.positions * unit.nanometer)
        modeller.delete([atom for atom in self.topology.atoms() if atom.index not in REGION])
        modeller.topology.setPeriodicBoxVectors(None)
        return Solvated(modeller.topology, self.positions[REGION], None, self.forcefield)

    def model_result(self, so3lr, **settings):
        """What the model says of the region alone, from the engine without OpenMM; Å, eV."""
        cell = None if self.box is None else self.box * 10
        potential = Potential(so3lr, precision="double", **settings)
        return potential.compute(self.atomic_numbers[REGION], self.positions[REGION] * 10, cell)


def solvate(water: str) -> Solvated:
    pdb = app.PDBFile(str(DIPEPTIDE))
    forcefield = app.ForceField("amber14-all.xml", f"amber14/{water}.xml")
    modeller = app.Modeller(pdb.topology, pdb.positions)
    modeller.addSolvent(forcefield, model=water, boxSize=openmm.Vec3(1.8, 1.8, 1.8) * unit.nanometer)
    system = forcefield.createSystem(modeller.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.7 * unit.nanometer)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(modeller.positions)
    openmm.LocalEnergyMinimizer.minimize(context, 10, 100)
    positions = context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    return Solvated(modeller.topology, np.array(positions), np.eye(3) * 1.8, forcefield)


@pytest.fixture(scope="session")
def solvated_box() -> Solvated:
    """In a box of 1.8 nm, near a minimum of the force field."""
    return solvate("tip3p")


@pytest.fixture(scope="session")
def box_with_virtual_sites() -> Solvated:
    """The same in water of four points, the fourth without mass."""
    return solvate("tip4pew")


@pytest.fixture(scope="session")
def drop(solvated_box) -> Solvated:
    """The dipeptide with its next water molecules, without a box."""
    positions = solvated_box.positions
    far = []
    for residue in solvated_box.topology.residues():
        atoms = [atom.index for atom in residue.atoms()]
        distances = np.linalg.norm(positions[atoms][:, None] - positions[REGION], axis=-1)
        if residue.name == "HOH" and distances.min() > 0.3:
            far.append(residue)
    modeller = app.Modeller(solvated_box.topology, positions * unit.nanometer)
    modeller.delete(far)
    modeller.topology.setPeriodicBoxVectors(None)
    kept = np.array(modeller.positions.value_in_unit(unit.nanometer))
    return Solvated(modeller.topology, kept, None, solvated_box.forcefield)


@pytest.fixture
def energy_and_forces():
    """`energy_and_forces(system, positions, groups=-1, platform="Reference", **parameters)` -> kJ/mol, kJ/mol/nm."""

    def compute(system, positions, groups=-1, platform="Reference", **parameters):
        integrator = openmm.VerletIntegrator(0.001)
        context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
        context.setPositions(positions)
        context.computeVirtualSites()
        for name, value in parameters.items():
            context.setParameter(name, value)
        state = context.getState(energy=True, forces=True, groups=groups)
        forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        return state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole), np.array(forces)

    return compute
