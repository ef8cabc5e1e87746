"""A run in pieces: every call goes on where the last one stopped, bit for bit as if it had been one run.

    python examples/restart.py --steps 2000 --output pieces
    python examples/restart.py --steps 2000 --output pieces       # the next 2,000

The System is kept in system.xml, which names the model by its SHA-256: reading it needs that very model file, and
another one is refused. The checkpoint holds positions, velocities and the state of the random numbers, for this
machine; state.xml holds the first two, for any. (`so3krates md --resume` also survives a crash in the middle.)
"""

import argparse
import os
import sys
from pathlib import Path

import openmm
from openmm import app, unit

from openmm_so3krates import SO3kratesForce

HERE = Path(__file__).parent


def new_system(topology: app.Topology, model: str) -> openmm.System:
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    system.addForce(SO3kratesForce(model, topology))
    return system


def save(simulation: app.Simulation, folder: Path) -> None:
    """Each file is replaced in one step, so that an old one is whole if writing fails."""
    simulation.saveState(str(folder / "state.xml.new"))
    simulation.saveCheckpoint(str(folder / "checkpoint.chk.new"))
    for name in ("state.xml", "checkpoint.chk"):
        os.replace(folder / f"{name}.new", folder / name)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="so3lr", help="installed model or path of a model file (default so3lr)")
    parser.add_argument("--steps", type=int, default=2_000, help="steps of 0.5 fs to go on by (default 2,000: 1 ps)")
    parser.add_argument("--output", type=Path, default=Path("pieces"), help="folder to write to and to go on from")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    checkpoint, xml = options.output / "checkpoint.chk", options.output / "system.xml"

    pdb = app.PDBFile(str(HERE / "ac_ala3_nhme.pdb"))
    goes_on = checkpoint.exists()
    if goes_on:
        system = openmm.XmlSerializer.deserialize(xml.read_text())
    else:
        system = new_system(pdb.topology, options.model)
        xml.write_text(openmm.XmlSerializer.serialize(system))
    integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 0.5 * unit.femtosecond)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(pdb.topology, system, integrator)
    if goes_on:
        simulation.loadCheckpoint(str(checkpoint))
        print(f"going on from step {simulation.currentStep}")
    else:
        simulation.context.setPositions(pdb.positions)
        simulation.context.setVelocitiesToTemperature(300 * unit.kelvin, 1)
    interval = max(1, min(20, options.steps))
    simulation.reporters.append(app.DCDReporter(str(options.output / "trajectory.dcd"), interval, append=goes_on))
    simulation.step(options.steps)
    save(simulation, options.output)
    print(f"at step {simulation.currentStep}; call again to go on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
