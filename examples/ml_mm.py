"""Alanine dipeptide by SO3LR in water by TIP3P: mechanical embedding with OpenMM-ML.

    pip install openmmml
    python examples/ml_mm.py --output ml_mm

Inside the peptide everything is SO3LR; between peptide and water, and within the water, it is Amber14 with its charges
and Lennard-Jones terms. The peptide is flexible, so the time step is 0.5 fs; the water stays rigid.
Writes start.pdb, trajectory.dcd, log.csv and dihedrals.png.
"""

import argparse
import sys
from pathlib import Path

import mdtraj
import numpy as np
import openmm
from matplotlib.figure import Figure
from openmm import app, unit
from openmmml import MLPotential
from tqdm import tqdm

HERE = Path(__file__).parent
ML_GROUP = 1  # of the forces, to tell the model's energy from the rest


def make_simulation(edge: float, model: str) -> app.Simulation:
    """`edge` of the box in nm: keep it above 2.4, twice SO3LR's long-range cutoff (docs/ml_mm.md)."""
    pdb = app.PDBFile(str(HERE / "alanine_dipeptide.pdb"))
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
    modeller = app.Modeller(pdb.topology, pdb.positions)
    modeller.addSolvent(forcefield, boxSize=openmm.Vec3(edge, edge, edge) * unit.nanometer)
    mm_system = forcefield.createSystem(
        modeller.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.9 * unit.nanometer, rigidWater=True
    )
    region = [atom.index for atom in modeller.topology.atoms() if atom.residue.name != "HOH"]
    potential = MLPotential("so3krates", modelPath=model)
    system = potential.createMixedSystem(
        modeller.topology, mm_system, region, forceGroup=ML_GROUP, charge=0, multiplicity=1
    )
    integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 0.5 * unit.femtosecond)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(modeller.topology, system, integrator)
    simulation.context.setPositions(modeller.positions)
    return simulation


def draw_dihedrals(frames: mdtraj.Trajectory, times: np.ndarray, path: Path) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, compute in (("φ", mdtraj.compute_phi), ("ψ", mdtraj.compute_psi)):
        axes.plot(times, np.degrees(compute(frames)[1][:, 0]), ".", label=name)
    axes.set(xlabel="time / ps", ylabel="angle / °", ylim=(-180, 180))
    axes.legend()
    figure.savefig(path, dpi=130)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="so3lr", help="installed model or path of a model file (default so3lr)")
    parser.add_argument("--edge", type=float, default=2.5, help="edge of the box in nm (default 2.5)")
    parser.add_argument("--steps", type=int, default=10_000, help="steps of 0.5 fs (default 10,000: 5 ps)")
    parser.add_argument("--frames", type=int, default=200, help="frames to save (default 200)")
    parser.add_argument("--output", type=Path, default=Path("ml_mm"), help="folder to write to")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    simulation = make_simulation(options.edge, options.model)
    print(f"{simulation.topology.getNumAtoms()} atoms; minimising")
    simulation.minimizeEnergy(maxIterations=200)
    start = options.output / "start.pdb"
    with open(start, "w") as file:
        app.PDBFile.writeFile(simulation.topology, simulation.context.getState(positions=True).getPositions(), file)

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

    inside = simulation.context.getState(energy=True, groups={ML_GROUP}).getPotentialEnergy()
    print(f"the model's energy of the peptide at the end: {inside.value_in_unit(unit.kilojoule_per_mole):.1f} kJ/mol")
    frames = mdtraj.load(str(trajectory), top=str(start))
    times = 0.0005 * interval * np.arange(1, frames.n_frames + 1)
    draw_dihedrals(frames, times, options.output / "dihedrals.png")
    print(f"{frames.n_frames} frames in {trajectory}; see {options.output / 'dihedrals.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
