"""Alanine dipeptide in a small box of water, peptide and water alike by SO3LR.

    python examples/solvated_peptide.py --output solvated

The force field only places the water. Writes start.pdb, trajectory.dcd, log.csv and solvation.png: how the oxygen of
the water lies around the oxygen and nitrogen of the peptide.
"""

import argparse
import sys
from pathlib import Path

import mdtraj
import openmm
from matplotlib.figure import Figure
from openmm import app, unit
from tqdm import tqdm

from openmm_so3krates import SO3kratesForce

HERE = Path(__file__).parent


def solvate(pdb: app.PDBFile, edge: float) -> app.Modeller:
    """The peptide in a cube of water with this edge in nm."""
    modeller = app.Modeller(pdb.topology, pdb.positions)
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
    modeller.addSolvent(forcefield, boxSize=openmm.Vec3(edge, edge, edge) * unit.nanometer)
    return modeller


def make_simulation(modeller: app.Modeller, model: str) -> app.Simulation:
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*modeller.topology.getPeriodicBoxVectors())
    for atom in modeller.topology.atoms():
        system.addParticle(atom.element.mass)
    system.addForce(SO3kratesForce(model, modeller.topology))  # periodic, as the topology has a box
    integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 10 / unit.picosecond, 0.5 * unit.femtosecond)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(modeller.topology, system, integrator)
    simulation.context.setPositions(modeller.positions)
    return simulation


def draw_solvation(frames: mdtraj.Trajectory, path: Path) -> None:
    water = frames.topology.select("water and element O")
    reach = min(0.8, frames.unitcell_lengths.min() / 2)  # nm
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for symbol in "ON":
        peptide = frames.topology.select(f"not water and element {symbol}")
        pairs = frames.topology.select_pairs(peptide, water)
        distance, density = mdtraj.compute_rdf(frames, pairs, r_range=(0.2, reach), bin_width=0.01)
        axes.plot(10 * distance, density, label=f"{symbol} of the peptide to O of water")
    axes.set(xlabel="distance / Å", ylabel="g(r)")
    axes.legend()
    figure.savefig(path, dpi=130)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="so3lr", help="installed model or path of a model file (default so3lr)")
    parser.add_argument("--edge", type=float, default=1.8, help="edge of the box in nm (default 1.8: some 500 atoms)")
    parser.add_argument("--steps", type=int, default=5_000, help="steps of 0.5 fs (default 5,000: 2.5 ps)")
    parser.add_argument("--frames", type=int, default=100, help="frames to save (default 100)")
    parser.add_argument("--output", type=Path, default=Path("solvated"), help="folder to write to")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    modeller = solvate(app.PDBFile(str(HERE / "alanine_dipeptide.pdb")), options.edge)
    simulation = make_simulation(modeller, options.model)
    print(f"{modeller.topology.getNumAtoms()} atoms; minimising")
    simulation.minimizeEnergy(maxIterations=50)  # enough to start from
    start = options.output / "start.pdb"
    with open(start, "w") as file:
        app.PDBFile.writeFile(modeller.topology, simulation.context.getState(positions=True).getPositions(), file)

    simulation.context.setVelocitiesToTemperature(300 * unit.kelvin, 1)
    interval = max(1, options.steps // options.frames)
    trajectory = options.output / "trajectory.dcd"
    simulation.reporters += [
        app.DCDReporter(str(trajectory), interval),
        app.StateDataReporter(
            str(options.output / "log.csv"), interval, time=True, potentialEnergy=True, temperature=True, speed=True
        ),
    ]
    for _ in tqdm(range(options.steps // interval), unit="frame", disable=None):
        simulation.step(interval)
    simulation.reporters.clear()  # closes the files

    frames = mdtraj.load(str(trajectory), top=str(start))
    draw_solvation(frames, options.output / "solvation.png")
    print(f"{frames.n_frames} frames in {trajectory}; see {options.output / 'solvation.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
