"""Runs `so3krates` with springs between bonded atoms in place of a model: fast, no weights, energies known on paper.

As a script it takes the arguments of `so3krates`; $FILE_SIZE_LIMIT (bytes) then makes every file beyond it fail to
grow, as on a full disk, and $SPRINGS chooses another force below.
"""

import os
import resource
import sys

import numpy as np
import openmm
from openmm import unit

STIFFNESS = 2.0e5  # kJ/mol/nm²


def rest_length(first, second) -> float:
    """nm"""
    return 0.11 if 1 in (first.element.atomic_number, second.element.atomic_number) else 0.15


class Springs(openmm.HarmonicBondForce):
    """Energy: sum over bonds of STIFFNESS/2 (r - rest_length)²."""

    def __init__(self, structure, settings):
        super().__init__()
        self.setUsesPeriodicBoundaryConditions(structure.is_periodic)
        for bond in structure.topology.bonds():
            self.addBond(bond[0].index, bond[1].index, rest_length(*bond), STIFFNESS)

    def getModelHash(self) -> str:
        return "5" * 64

    def getPrediction(self, context):
        """Charges +-0.1 e in turn."""
        from openmm_so3krates import Prediction

        state = context.getState(positions=True, energy=True)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        charges = np.resize([0.1, -0.1], len(positions))
        zero = 0 * unit.kilojoule_per_mole
        parts = {"zbl": zero, "electrostatics": zero, "dispersion": zero, "network": state.getPotentialEnergy()}
        dipole = charges @ positions * (unit.elementary_charge * unit.nanometer)
        return Prediction(parts, charges * unit.elementary_charge, np.ones(len(positions)), dipole)


class OtherSprings(Springs):
    def getModelHash(self) -> str:
        return "6" * 64


class Precipice(openmm.CustomExternalForce):
    """No force within 0.6 nm of the origin, not a number beyond."""

    def __init__(self, structure, settings):
        super().__init__("1e-12*sqrt(0.36-x*x-y*y-z*z)")
        for atom in structure.topology.atoms():
            self.addParticle(atom.index)

    def getModelHash(self) -> str:
        return "7" * 64


def springs_energy(topology, positions: np.ndarray) -> np.ndarray:
    """(frames,) kJ/mol for positions (frames, N, 3) in nm."""
    energy = np.zeros(len(positions))
    for bond in topology.bonds():
        length = np.linalg.norm(positions[:, bond[0].index] - positions[:, bond[1].index], axis=-1)
        energy += STIFFNESS / 2 * (length - rest_length(*bond)) ** 2
    return energy


def main() -> int:
    from openmm_so3krates import cli
    from openmm_so3krates.md import system

    system.make_force = globals()[os.environ.get("SPRINGS", "Springs")]
    if limit := os.environ.get("FILE_SIZE_LIMIT"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
