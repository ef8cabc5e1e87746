"""Conservation of energy in NVE dynamics with SO3kratesForce.

    python benchmarks/energy_drift.py --json drift.json

Equilibrates with Langevin dynamics, then runs NVE (Verlet) and fits a line to the total energy: its slope is the
drift, the rms of what remains the fluctuation. Conservation is good when the drift over 20 ps is below the
fluctuation, which is the integrator's own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import openmm
from openmm import unit
from openmm.app import Element
from tqdm import tqdm

from openmm_so3krates import SO3kratesForce

BOLTZMANN = 0.00831446261815324  # kJ/mol/K
DEFAULT_INPUT = Path(__file__).resolve().parents[1] / "tests" / "data" / "ac_ala3_nhme.npz"


def measure(
    model,
    atomic_numbers,
    positions,
    cell=None,
    charge=0.0,
    spin=0.0,
    lr_cutoff=12.0,
    time=20.0,
    timestep=0.5,
    temperature=300.0,
    equilibration=1.0,
    interval=10,
    platform="CPU",
    precision="single",
    seed=1,
    progress=False,
) -> dict:
    """Runs the dynamics and returns a report (plain numbers, units in the names).

    `positions` (N, 3) and `cell` (3, 3 or None) in Å, `lr_cutoff` in Å or None, `time` and `equilibration` in ps,
    `timestep` in fs, `temperature` of the equilibration in K, `interval` of the energy's samples in steps.
    """
    system = openmm.System()
    for number in atomic_numbers:
        system.addParticle(Element.getByAtomicNumber(int(number)).mass)
    if cell is not None:
        system.setDefaultPeriodicBoxVectors(*(np.asarray(cell) / 10))
    force = SO3kratesForce(
        model,
        atomic_numbers=atomic_numbers,
        charge=charge,
        spin=spin,
        lr_cutoff=None if lr_cutoff is None else lr_cutoff / 10,
        periodic=cell is not None,
        precision=precision,
    )
    system.addForce(force)

    langevin = openmm.LangevinMiddleIntegrator(temperature, 10, timestep * 1e-3)
    langevin.setRandomNumberSeed(seed)
    verlet = openmm.VerletIntegrator(timestep * 1e-3)
    integrator = openmm.CompoundIntegrator()
    integrator.addIntegrator(langevin)
    integrator.addIntegrator(verlet)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(np.asarray(positions) / 10)
    openmm.LocalEnergyMinimizer.minimize(context, 10)
    context.setVelocitiesToTemperature(temperature, seed)
    integrator.step(round(equilibration * 1000 / timestep))

    integrator.setCurrentIntegrator(1)
    samples = max(3, round(time * 1000 / timestep / interval))
    times, totals, kinetics = np.zeros(samples), np.zeros(samples), np.zeros(samples)
    # disable=None: a bar only on a terminal
    for i in tqdm(range(samples), disable=None if progress else True, unit="sample"):
        integrator.step(interval)
        state = context.getState(getEnergy=True)
        kinetics[i] = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
        totals[i] = kinetics[i] + state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        times[i] = (i + 1) * interval * timestep * 1e-3
    slope, uncertainty, rms = fit_drift(times, totals)
    num_atoms = len(atomic_numbers)
    return {
        "model": force.getModelName(),
        "model_sha256": force.getModelHash(),
        "num_atoms": num_atoms,
        "platform": platform,
        "precision": precision,
        "time_ps": float(times[-1]),
        "timestep_fs": timestep,
        "seed": seed,
        "temperature_K": float(2 * kinetics.mean() / (3 * num_atoms * BOLTZMANN)),
        "drift_kJ_per_mol_ps": slope,
        "drift_uncertainty_kJ_per_mol_ps": uncertainty,
        "drift_kJ_per_mol_atom_ns": slope * 1000 / num_atoms,
        "drift_over_run_kJ_per_mol": slope * float(times[-1]),
        "rms_fluctuation_kJ_per_mol": rms,
        "times_ps": times.tolist(),
        "total_energies_kJ_per_mol": totals.tolist(),
    }


def fit_drift(times, energies, blocks=20) -> tuple[float, float, float]:
    """Slope of the line through the energies, its standard error, and the rms of the energies about the line.

    The error comes from averages over blocks of the trajectory, since neighboring samples are correlated.
    """
    slope, offset = np.polyfit(times, energies, 1)
    rms = np.std(energies - (slope * times + offset))
    size = len(times) // min(blocks, len(times))
    means = [np.mean(values[: len(values) // size * size].reshape(-1, size), axis=1) for values in (times, energies)]
    residuals = means[1] - np.polyval(np.polyfit(*means, 1), means[0])
    spread = np.sum((means[0] - means[0].mean()) ** 2)
    uncertainty = np.sqrt(np.sum(residuals**2) / (len(residuals) - 2) / spread)
    return float(slope), float(uncertainty), float(rms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--input",
        type=Path,
        default=DEFAULT_INPUT,
        help=".npz with atomic_numbers, positions (Å) and optionally cell, charge, spin, lr_cutoff",
    )
    parser.add_argument("--model", default="so3lr", help="name or path of the model")
    parser.add_argument("--time", type=float, default=20.0, help="ps of NVE")
    parser.add_argument("--equilibration", type=float, default=1.0, help="ps of Langevin dynamics before")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs")
    parser.add_argument("--temperature", type=float, default=300.0, help="K")
    parser.add_argument("--interval", type=int, default=10, help="steps from one energy to the next")
    parser.add_argument("--platform", default="CPU")
    parser.add_argument("--precision", default="single", choices=["single", "double", "auto"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the report with all energies here")
    arguments = parser.parse_args()
    settings = {name: value for name, value in vars(arguments).items() if name not in ("input", "json")}
    with np.load(arguments.input, allow_pickle=False) as file:
        for name in ("atomic_numbers", "positions", "cell"):
            settings[name] = file.get(name)
        for name in ("charge", "spin", "lr_cutoff"):
            if name in file:
                settings[name] = float(file[name])
    report = measure(**settings, progress=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))
    drift, rms = abs(report["drift_over_run_kJ_per_mol"]), report["rms_fluctuation_kJ_per_mol"]
    print(f"{report['num_atoms']} atoms, {report['time_ps']:g} ps at {report['temperature_K']:.0f} K")
    print(f"drift                {report['drift_kJ_per_mol_atom_ns']:+.4f} kJ/mol per atom and ns")
    print(f"drift over the run   {drift:.4f} kJ/mol")
    print(f"rms fluctuation      {rms:.4f} kJ/mol")
    print(f"drift below the fluctuation: {'yes' if drift < rms else 'NO'}")


if __name__ == "__main__":
    main()
