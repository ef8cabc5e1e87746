"""SO3LR in OpenMM through openmm-torch, side by side with the native force.

    python examples/torch_force.py [--steps 100]

Needs openmmtorch 1.5 with torch 2.9 and OpenMM 8.5 (docs/torch.md), and SO3LR's weights (so3krates install so3lr).
"""

import argparse
import time
from pathlib import Path

import torch  # noqa: F401  before openmm

# isort: split
import numpy as np
import openmm
from openmm import app, unit

from openmm_so3krates import SO3kratesForce

PEPTIDE = Path(__file__).parent / "ac_ala3_nhme.pdb"


def make_simulation(pdb: app.PDBFile, force: openmm.Force) -> app.Simulation:
    system = openmm.System()
    for atom in pdb.topology.atoms():
        system.addParticle(atom.element.mass)
    system.addForce(force)
    integrator = openmm.VerletIntegrator(0.5 * unit.femtosecond)
    platform = openmm.Platform.getPlatformByName("CPU")
    simulation = app.Simulation(pdb.topology, system, integrator, platform)
    simulation.context.setPositions(pdb.positions)
    return simulation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="MD steps of 0.5 fs")
    steps = parser.parse_args().steps

    pdb = app.PDBFile(str(PEPTIDE))
    native = SO3kratesForce("so3lr", pdb.topology, precision="double")
    positions = {}
    for name, force in {"SO3kratesForce": native, "TorchForce": native.to_torch_force()}.items():
        simulation = make_simulation(pdb, force)
        simulation.step(1)  # the model is loaded
        started = time.perf_counter()
        simulation.step(steps)
        state = simulation.context.getState(getEnergy=True, getPositions=True)
        milliseconds = 1000 * (time.perf_counter() - started) / steps
        positions[name] = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        print(f"{name:15} {energy:.6f} kJ/mol after {steps + 1} steps, {milliseconds:.1f} ms per step")
    print(f"largest difference of a coordinate: {np.abs(np.subtract(*positions.values())).max():.1e} nm")


if __name__ == "__main__":
    main()
