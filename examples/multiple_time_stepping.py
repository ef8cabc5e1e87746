"""Multiple time stepping with two models: a small one at every inner step, its difference to a large one less often.

    python examples/multiple_time_stepping.py peptide.pdb --inner small.safetensors --timestep 1 --substeps 2 --time 10

The forces are those of the large model, exactly: large − small at the outer steps, small at the inner ones. It pays
if the small model is much cheaper and so close to the large one (trained on the same data, or on its predictions)
that their difference changes slowly; with too long an outer step the motion heats up by resonance, which the
temperature printed shows first. Bonds to hydrogen want inner steps of 0.5 fs, and outer steps of 1 to 2 fs at most.
"""

import argparse
import time

import openmm
from openmm import app, unit

from openmm_so3krates import SO3kratesForce

OUTER, INNER = 0, 1  # force groups


def make_system(topology: app.Topology, model: str, inner: str, **settings) -> openmm.System:
    """`model` as a sum: the difference of `model` and `inner` in group OUTER, `inner` in group INNER.

    `settings`: what both forces need beside the model, such as `charge`.
    """
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    if topology.getPeriodicBoxVectors() is not None:
        system.setDefaultPeriodicBoxVectors(*topology.getPeriodicBoxVectors())
    for name, scale, group in ((model, 1, OUTER), (inner, -1, OUTER), (inner, 1, INNER)):
        force = SO3kratesForce(name, topology, scale=scale, **settings)
        force.setForceGroup(group)
        system.addForce(force)
    return system


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("structure", help="PDB file with all hydrogens")
    parser.add_argument("--model", default="so3lr", help="the large model, whose dynamics it is (default so3lr)")
    parser.add_argument("--inner", required=True, help="the small model")
    parser.add_argument("--charge", type=float, default=0, help="total charge, e")
    parser.add_argument("--timestep", type=float, default=1, help="outer step, fs (default 1)")
    parser.add_argument("--substeps", type=int, default=2, help="inner steps in an outer one (default 2)")
    parser.add_argument("--time", type=float, default=1, help="length, ps (default 1)")
    parser.add_argument("--temperature", type=float, default=300, help="K (default 300)")
    parser.add_argument("--platform", help="OpenMM platform (default: the fastest)")
    options = parser.parse_args(arguments)

    pdb = app.PDBFile(options.structure)
    system = make_system(pdb.topology, options.model, options.inner, charge=options.charge)
    integrator = openmm.MTSLangevinIntegrator(
        options.temperature * unit.kelvin,
        1 / unit.picosecond,
        options.timestep * unit.femtosecond,
        [(OUTER, 1), (INNER, options.substeps)],
    )
    platform = None if options.platform is None else openmm.Platform.getPlatformByName(options.platform)
    simulation = app.Simulation(pdb.topology, system, integrator, platform)
    simulation.context.setPositions(pdb.positions)
    simulation.minimizeEnergy(maxIterations=200)
    simulation.context.setVelocitiesToTemperature(options.temperature * unit.kelvin)

    steps = max(1, round(1000 * options.time / options.timestep))
    freedom = 3 * system.getNumParticles()
    print("time/ps  potential energy/(kJ/mol)  temperature/K  ns/day")
    began, done = time.monotonic(), 0
    for report in range(1, 11):
        simulation.step(steps * report // 10 - done)
        done = steps * report // 10
        state = simulation.context.getState(energy=True)
        temperature = 2 * state.getKineticEnergy() / (freedom * unit.MOLAR_GAS_CONSTANT_R)
        speed = done * options.timestep * 1e-6 / max(time.monotonic() - began, 1e-9) * 86400
        print(
            f"{done * options.timestep / 1000:7.3f}  "
            f"{state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole):25.3f}  "
            f"{temperature.value_in_unit(unit.kelvin):13.1f}  {speed:6.3g}"
        )


if __name__ == "__main__":
    main()
