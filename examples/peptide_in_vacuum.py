"""A peptide in vacuum: minimised, then Langevin dynamics at 300 K, all of it by SO3LR through OpenMM.

    python examples/peptide_in_vacuum.py --output peptide

Writes minimized.pdb, trajectory.dcd, log.csv and dihedrals.png, the way of φ and ψ of every residue.
"""

import argparse
import sys
from pathlib import Path

import mdtraj
import numpy as np
import openmm
from matplotlib.figure import Figure
from openmm import app, unit
from tqdm import tqdm

from openmm_so3krates import SO3kratesForce

HERE = Path(__file__).parent


def make_simulation(pdb: app.PDBFile, model: str) -> app.Simulation:
    system = openmm.System()
    for atom in pdb.topology.atoms():
        system.addParticle(atom.element.mass)
    system.addForce(SO3kratesForce(model, pdb.topology))
    system.addForce(openmm.CMMotionRemover())
    integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 0.5 * unit.femtosecond)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(pdb.topology, system, integrator)
    simulation.context.setPositions(pdb.positions)
    return simulation


def draw_dihedrals(trajectory: mdtraj.Trajectory, path: Path) -> None:
    angles = []  # φ and ψ by residue, told by the alpha carbon among the four atoms
    for (atoms, values), alpha in ((mdtraj.compute_phi(trajectory), 2), (mdtraj.compute_psi(trajectory), 1)):
        residues = [trajectory.topology.atom(four[alpha]).residue for four in atoms]
        angles.append(dict(zip(residues, np.degrees(values).T, strict=True)))
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    for residue in [residue for residue in angles[0] if residue in angles[1]]:
        axes.plot(angles[0][residue], angles[1][residue], ".", markersize=3, label=str(residue))
    axes.set(xlim=(-180, 180), ylim=(-180, 180), xlabel="φ / °", ylabel="ψ / °", aspect="equal")
    axes.legend()
    figure.savefig(path, dpi=130)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pdb", nargs="?", default=HERE / "ac_ala3_nhme.pdb", help="default: Ac-Ala3-NHMe")
    parser.add_argument("--model", default="so3lr", help="installed model or path of a model file (default so3lr)")
    parser.add_argument("--steps", type=int, default=20_000, help="steps of 0.5 fs (default 20,000: 10 ps)")
    parser.add_argument("--frames", type=int, default=200, help="frames to save (default 200)")
    parser.add_argument("--output", type=Path, default=Path("peptide"), help="folder to write to")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    pdb = app.PDBFile(str(options.pdb))
    simulation = make_simulation(pdb, options.model)
    simulation.minimizeEnergy(tolerance=10 * unit.kilojoule_per_mole / unit.nanometer)
    minimized = simulation.context.getState(positions=True).getPositions()
    with open(options.output / "minimized.pdb", "w") as file:
        app.PDBFile.writeFile(pdb.topology, minimized, file)

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

    frames = mdtraj.load(str(trajectory), top=str(options.output / "minimized.pdb"))
    draw_dihedrals(frames, options.output / "dihedrals.png")
    print(f"{frames.n_frames} frames in {trajectory}; see {options.output / 'dihedrals.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
