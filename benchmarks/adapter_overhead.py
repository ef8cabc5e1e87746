"""What each way to the engine costs per evaluation, besides the engine.

    python benchmarks/adapter_overhead.py --json overhead.json
    python benchmarks/adapter_overhead.py --atoms 22 1029

The model is as small as can be (one layer, 8 features, bonds only, no long range), so that the engine's own time, taken
off by its own clock, does not drown what is asked for: the way of positions and forces, which no model changes. OpenMM
steps are those of the Verlet integrator on the CPU platform; its own time, measured without any force, is taken off
too. All ways must give the same forces. What is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

try:
    import torch  # before openmm
except ImportError:
    torch = None

# isort: split
import numpy as np
import openmm
from openmm import app, unit

from openmm_so3krates import Potential, SO3kratesForce
from openmm_so3krates.benchmark.machine import describe_machine, versions
from openmm_so3krates.benchmark.systems import peptide, water
from openmm_so3krates.benchmark.tables import table
from openmm_so3krates.hyperparameters import Hyperparameters
from openmm_so3krates.model_file import expected_tensors, write_model_file

SYSTEMS = {22: (peptide, 1), 1029: (water, 7), 10125: (water, 15)}  # atoms: what makes them
TIMESTEP = 1e-6  # ps: the atoms hardly move, the forces are computed nevertheless
EV_PER_A = 96.48533212331 * 10  # kJ/mol/nm


def write_small_model(path: Path) -> None:
    hyperparameters = Hyperparameters(
        num_features=8,
        num_layers=1,
        num_heads=1,
        degrees=(1,),
        cutoff=1.6,
        num_radial_basis=2,
        residual_mlp_1=False,
        energy_hidden=None,
    )
    rng = np.random.default_rng(1)
    tensors = {
        name: rng.normal(0, 0.3, [10 if size is None else size for size in shape])
        for name, shape in expected_tensors(hyperparameters).items()
    }
    write_model_file(path, hyperparameters, tensors, {})


class Evaluations:
    """Potential.compute in a loop: the least there is in Python."""

    name = "Potential.compute"

    def __init__(self, model, system, threads):
        self.potential = Potential(model, precision="single", threads=threads)
        self.system = system

    def evaluate(self, count: int) -> None:
        for _ in range(count):
            self.result = self.potential.compute(
                self.system.atomic_numbers, self.system.positions, cell=self.system.cell
            )

    def forces(self) -> np.ndarray:
        """eV/Å"""
        self.evaluate(1)
        return self.result.forces


class ASE(Evaluations):
    name = "ASE calculator"

    def __init__(self, model, system, threads):
        from ase import Atoms

        from openmm_so3krates.ase import SO3kratesCalculator

        self.atoms = Atoms(
            numbers=system.atomic_numbers,
            positions=system.positions,
            cell=system.cell,
            pbc=system.cell is not None,
            calculator=SO3kratesCalculator(model, precision="single", threads=threads),
        )

    def evaluate(self, count: int) -> None:
        for _ in range(count):
            self.atoms.calc.reset()  # as after a move
            self.result = self.atoms.get_forces()

    def forces(self) -> np.ndarray:
        self.evaluate(1)
        return self.result


class TorchOperator(Evaluations):
    name = "torch operator, forces"

    def __init__(self, model, system, threads):
        if torch is None:
            raise ImportError("No module named 'torch'")
        from openmm_so3krates.torch import TorchPotential

        self.potential = TorchPotential(model, system.atomic_numbers, precision="single", threads=threads)
        self.positions = torch.tensor(system.positions, dtype=torch.float32)
        self.cell = None if system.cell is None else torch.tensor(system.cell, dtype=torch.float32)

    def evaluate(self, count: int) -> None:
        for _ in range(count):
            self.result = self.potential(self.positions, self.cell)[1]

    def forces(self) -> np.ndarray:
        self.evaluate(1)
        return self.result.double().numpy()


class TorchGradient(TorchOperator):
    name = "torch operator, autograd"

    def evaluate(self, count: int) -> None:
        for _ in range(count):
            positions = self.positions.detach().requires_grad_()
            self.potential(positions, self.cell)[0].backward()
            self.result = -positions.grad


class Steps(Evaluations):
    """Steps of OpenMM's Verlet integrator."""

    name = "SO3kratesForce, OpenMM step"

    def __init__(self, model, system, threads):
        openmm_system = openmm.System()
        for number in system.atomic_numbers:
            openmm_system.addParticle(app.Element.getByAtomicNumber(int(number)).mass)
        if system.cell is not None:
            openmm_system.setDefaultPeriodicBoxVectors(*(system.cell / 10))
        force = self.make_force(model, system)
        if force is not None:
            openmm_system.addForce(force)
        self.context = openmm.Context(
            openmm_system,
            openmm.VerletIntegrator(TIMESTEP),
            openmm.Platform.getPlatform("CPU"),
            {"Threads": str(threads)},
        )
        self.positions = system.positions / 10
        self.context.setPositions(self.positions)

    @staticmethod
    def native(model, system) -> SO3kratesForce:
        return SO3kratesForce(
            model, atomic_numbers=system.atomic_numbers, periodic=system.cell is not None, precision="single"
        )

    def make_force(self, model, system):
        return self.native(model, system)

    def evaluate(self, count: int) -> None:
        self.context.getIntegrator().step(count)

    def forces(self) -> np.ndarray:
        self.context.setPositions(self.positions)
        state = self.context.getState(getForces=True)
        return state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer) / EV_PER_A


class NoForce(Steps):
    name = "OpenMM step without a force"

    def make_force(self, model, system):
        return None


class OpenMMML(Steps):
    name = "MLPotential, OpenMM step"

    def make_force(self, model, system):
        from openmmml import MLPotential

        topology = app.Topology()
        residue = topology.addResidue("X", topology.addChain())
        for number in system.atomic_numbers:
            topology.addAtom("X", app.Element.getByAtomicNumber(int(number)), residue)
        if system.cell is not None:
            topology.setPeriodicBoxVectors(system.cell / 10)
        made = MLPotential("so3krates", modelPath=str(model)).createSystem(topology, precision="single")
        return openmm.XmlSerializer.clone(made.getForce(0))


class PythonForce(Steps):
    name = "PythonForce, OpenMM step"

    def make_force(self, model, system):
        return self.native(model, system).to_python_force()


class TorchForce(Steps):
    name = "TorchForce, OpenMM step"

    def make_force(self, model, system):
        return self.native(model, system).to_torch_force()


WAYS = (Evaluations, ASE, TorchOperator, TorchGradient, NoForce, Steps, OpenMMML, TorchForce, PythonForce)


def seconds_per_evaluation(way: Evaluations, seconds: float) -> float:
    """The fastest of nine batches of about a tenth of `seconds`: what other work adds is not asked for."""
    way.evaluate(3)
    began = time.perf_counter()
    way.evaluate(3)
    count = max(1, round(0.1 * seconds * 3 / (time.perf_counter() - began)))
    times = []
    for _ in range(9):
        began = time.perf_counter()
        way.evaluate(count)
        times.append((time.perf_counter() - began) / count)
    return min(times)


def engine_seconds(model: Path, system, threads: int) -> float:
    potential = Potential(model, precision="single", threads=threads)

    def once() -> float:
        return sum(
            stage[-1] for stage in potential.time_stages(system.atomic_numbers, system.positions, cell=system.cell)
        )

    return min(once() for _ in range(100))


def measure(atoms: int, threads: int, seconds: float, model: Path) -> list[dict]:
    make, argument = SYSTEMS[atoms]
    system = make(argument)
    engine, empty = engine_seconds(model, system, threads), 0.0
    expected, rows = None, []
    for kind in WAYS:
        row = {"atoms": atoms, "way": kind.name, "engine_us": 1e6 * engine}
        try:
            way = kind(model, system, threads)
        except ImportError as error:
            rows.append({**row, "remark": str(error)})
            continue
        per_call = seconds_per_evaluation(way, seconds)
        if kind is NoForce:
            empty = per_call
        else:
            forces = way.forces()
            expected = forces if expected is None else expected
            error = np.abs(forces - expected).max() / np.abs(expected).max()
            if not error < 1e-5:
                raise SystemExit(
                    f"{kind.name}: forces differ from those of Potential.compute by {error:.1e} of the largest"
                )
            taken_off = engine + (empty if issubclass(kind, Steps) else 0.0)
            row = {**row, "overhead_us": 1e6 * (per_call - taken_off), "force_deviation": error}
        rows.append({**row, "total_us": 1e6 * per_call})
    return rows


def print_rows(rows: list[dict]) -> None:
    sizes = sorted({row["atoms"] for row in rows})
    by = {(row["way"], row["atoms"]): row for row in rows}
    body = []
    for kind in WAYS:
        cells = [kind.name]
        for atoms in sizes:
            row = by[kind.name, atoms]
            value = row.get("total_us") if kind is NoForce else row.get("overhead_us")
            cells.append("not installed" if value is None else f"{value:.0f}")
        body.append(cells)
    print(table(["µs per evaluation, besides the engine", *(f"{n} atoms" for n in sizes)], body))
    print("Engine:", ", ".join(f"{n} atoms {by[WAYS[0].name, n]['engine_us']:.0f} µs" for n in sizes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atoms", type=int, nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help="(default: all)")
    parser.add_argument("--threads", type=int, default=1, help="(default 1)")
    parser.add_argument("--seconds", type=float, default=2, help="about this long per measurement (default 2)")
    parser.add_argument("--json", type=Path, help="write all numbers here")
    arguments = parser.parse_args()
    if arguments.json:
        arguments.json.touch()  # better to fail now than after the measurement
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "small.safetensors"
        write_small_model(model)
        for atoms in arguments.atoms:
            rows += measure(atoms, arguments.threads, arguments.seconds, model)
            print(f"{atoms} atoms measured", file=sys.stderr)
    print_rows(rows)
    if arguments.json:
        report = {"machine": describe_machine(), "versions": versions(), "threads": arguments.threads, "rows": rows}
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
