"""From a force field to SO3LR: thermodynamic integration over OpenMM-ML's lambda_interpolate.

    pip install openmmml
    python examples/openmm_ml_interpolation.py                # alanine dipeptide in vacuum
    python examples/openmm_ml_interpolation.py --edge 2.5     # in a box of TIP3P water

Lambda 0 is Amber14, lambda 1 SO3LR inside the peptide. The model's energy has an arbitrary constant, so one of the two
free energies alone means nothing; water minus vacuum is what SO3LR corrects in the free energy of hydration.
Writes lambda.csv and lambda.png.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import openmm
from matplotlib.figure import Figure
from openmm import app, unit
from openmmml import MLPotential
from scipy.integrate import trapezoid
from tqdm import tqdm

HERE = Path(__file__).parent
KJ_PER_MOL = unit.kilojoule_per_mole


def make_simulation(edge: float | None, model: str) -> app.Simulation:
    """`edge` of the box of water in nm; None: vacuum."""
    pdb = app.PDBFile(str(HERE / "alanine_dipeptide.pdb"))
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
    modeller = app.Modeller(pdb.topology, pdb.positions)
    region = list(range(pdb.topology.getNumAtoms()))
    if edge is None:
        mm_system = forcefield.createSystem(modeller.topology)
    else:
        modeller.addSolvent(forcefield, boxSize=openmm.Vec3(edge, edge, edge) * unit.nanometer)
        mm_system = forcefield.createSystem(
            modeller.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.9 * unit.nanometer
        )
    potential = MLPotential("so3krates", modelPath=model)
    system = potential.createMixedSystem(modeller.topology, mm_system, region, interpolate=True)
    integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 5 / unit.picosecond, 0.5 * unit.femtosecond)
    integrator.setRandomNumberSeed(1)
    # OpenMM's own choice does not look into what is interpolated: it may be a platform that cannot compute the model.
    platform = openmm.Platform.getPlatformByName("CPU")
    simulation = app.Simulation(modeller.topology, system, integrator, platform)
    simulation.context.setPositions(modeller.positions)
    return simulation


def slope(context: openmm.Context) -> float:
    """dU/dlambda in kJ/mol: the energy is linear in lambda."""
    current = context.getParameter("lambda_interpolate")
    energies = []
    for value in (1, 0):
        context.setParameter("lambda_interpolate", value)
        energies.append(context.getState(energy=True).getPotentialEnergy().value_in_unit(KJ_PER_MOL))
    context.setParameter("lambda_interpolate", current)
    return energies[0] - energies[1]


def draw(table: np.ndarray, path: Path) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.errorbar(table[:, 0], table[:, 1], table[:, 2], fmt="o-", capsize=3)
    axes.set(xlabel="λ", ylabel="⟨dU/dλ⟩ / kJ mol$^{-1}$")
    figure.savefig(path, dpi=130)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="so3lr", help="installed model or path of a model file (default so3lr)")
    parser.add_argument("--edge", type=float, help="edge of a box of water in nm (default: vacuum)")
    parser.add_argument("--windows", type=int, default=6, help="values of lambda (default 6)")
    parser.add_argument("--steps", type=int, default=2_000, help="steps of 0.5 fs at each (default 2,000: 1 ps)")
    parser.add_argument("--output", type=Path, default=Path("interpolation"), help="folder to write to")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    simulation = make_simulation(options.edge, options.model)
    simulation.minimizeEnergy(maxIterations=100)
    simulation.context.setVelocitiesToTemperature(300 * unit.kelvin, 1)
    interval = max(1, min(20, options.steps // 10))
    rows = []
    for value in tqdm(np.linspace(0, 1, options.windows), unit="window", disable=None):
        simulation.context.setParameter("lambda_interpolate", value)
        samples = []
        for _ in range(options.steps // interval):
            simulation.step(interval)
            samples.append(slope(simulation.context))
        settled = np.array(samples[len(samples) // 5 :])
        # Means of five blocks tell the error of the mean of correlated samples.
        blocks = [block.mean() for block in np.array_split(settled, 5)]
        rows.append((value, settled.mean(), np.std(blocks, ddof=1) / np.sqrt(5)))
    table = np.array(rows)
    np.savetxt(options.output / "lambda.csv", table, "%.6g", ",", header="lambda,slope,error", comments="")
    draw(table, options.output / "lambda.png")
    print(f"free energy from force field to model: {trapezoid(table[:, 1], table[:, 0]):.2f} kJ/mol")
    return 0


if __name__ == "__main__":
    sys.exit(main())
