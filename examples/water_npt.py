"""Water at constant pressure by SO3LR: OpenMM's Monte Carlo barostat finds the density.

    python examples/water_npt.py --output water

Writes final.pdb, log.csv and density.png. The density of some hundred molecules settles within tens of picoseconds;
the default run shows the way there.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import openmm
from matplotlib.figure import Figure
from openmm import app, unit
from tqdm import tqdm

from openmm_so3krates import SO3kratesForce


def water_box(edge: float) -> app.Modeller:
    """A cube of water with this edge in nm, as OpenMM has it for TIP3P."""
    modeller = app.Modeller(app.Topology(), [] * unit.nanometer)
    forcefield = app.ForceField("amber14/tip3p.xml")
    modeller.addSolvent(forcefield, boxSize=openmm.Vec3(edge, edge, edge) * unit.nanometer)
    return modeller


def make_simulation(modeller: app.Modeller, model: str, pressure: float) -> app.Simulation:
    """`pressure` in bar."""
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*modeller.topology.getPeriodicBoxVectors())
    for atom in modeller.topology.atoms():
        system.addParticle(atom.element.mass)
    system.addForce(SO3kratesForce(model, modeller.topology))
    barostat = openmm.MonteCarloBarostat(pressure * unit.bar, 300 * unit.kelvin, 10)
    barostat.setRandomNumberSeed(1)
    system.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 0.5 * unit.femtosecond)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(modeller.topology, system, integrator)
    simulation.context.setPositions(modeller.positions)
    return simulation


def draw_density(log: Path, path: Path) -> None:
    step, density = np.loadtxt(log, delimiter=",", skiprows=1, unpack=True, ndmin=2, usecols=(0, 3))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(0.0005 * step, density)
    axes.set(xlabel="time / ps", ylabel="density / g cm$^{-3}$")
    figure.savefig(path, dpi=130)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="so3lr", help="installed model or path of a model file (default so3lr)")
    parser.add_argument("--edge", type=float, default=1.5, help="edge of the box in nm (default 1.5: some 300 atoms)")
    parser.add_argument("--pressure", type=float, default=1.0, help="bar (default 1)")
    parser.add_argument("--steps", type=int, default=20_000, help="steps of 0.5 fs (default 20,000: 10 ps)")
    parser.add_argument("--frames", type=int, default=200, help="lines of the log (default 200)")
    parser.add_argument("--output", type=Path, default=Path("water"), help="folder to write to")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    modeller = water_box(options.edge)
    simulation = make_simulation(modeller, options.model, options.pressure)
    print(f"{modeller.topology.getNumAtoms()} atoms; minimising")
    simulation.minimizeEnergy(maxIterations=50)
    simulation.context.setVelocitiesToTemperature(300 * unit.kelvin, 1)
    interval = max(1, options.steps // options.frames)
    log = options.output / "log.csv"
    simulation.reporters.append(
        app.StateDataReporter(str(log), interval, step=True, potentialEnergy=True, temperature=True, density=True)
    )
    for _ in tqdm(range(options.steps // interval), unit="frame", disable=None):
        simulation.step(interval)
    simulation.reporters.clear()  # closes the file

    state = simulation.context.getState(positions=True, enforcePeriodicBox=True)
    modeller.topology.setPeriodicBoxVectors(state.getPeriodicBoxVectors())
    with open(options.output / "final.pdb", "w") as file:
        app.PDBFile.writeFile(modeller.topology, state.getPositions(), file)
    draw_density(log, options.output / "density.png")
    print(f"final structure {options.output / 'final.pdb'}; see {options.output / 'density.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
