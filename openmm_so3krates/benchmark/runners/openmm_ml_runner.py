"""Runner: any potential of OpenMM-ML: evaluations by an OpenMM Context, and steps as in openmm_runner.py.

Of the job it needs `potential`, the name for MLPotential, `potential_arguments` for MLPotential and `system_arguments`
for its createSystem. Of these, `calculator` is MODULE:CALLABLE[:ARGUMENT] and stands for what the callable returns.
"""

import importlib
import os
from importlib import metadata

import openmm_steps
import protocol

KJ_PER_MOL = 96.48533212331  # in an eV, CODATA 2018
FRAMEWORKS = ("torch", "jax", "tensorflow")
WITHOUT_FRAMEWORK = ("so3lr", "so3krates")


def measure(job: dict) -> dict:
    if job["platform"] in ("CPU", "Reference"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # most potentials take a GPU if there is one
    import numpy as np
    from openmm import unit
    from openmmml import MLPotential

    frameworks = [name for name in FRAMEWORKS if job["potential"] not in WITHOUT_FRAMEWORK and imported(name)]
    baseline = protocol.peak_memory()
    potential = MLPotential(job["potential"], **job["potential_arguments"])
    arguments = dict(job["system_arguments"])
    if "calculator" in arguments:
        module, function, *rest = arguments["calculator"].split(":")
        arguments["calculator"] = getattr(importlib.import_module(module), function)(*rest)
    system = potential.createSystem(topology(job), **arguments)
    context = openmm_steps.make_context(job, system)
    frames = 0.1 * np.array(job["frames"])

    def evaluate(k: int) -> tuple[float, np.ndarray]:
        context.setPositions(frames[k % len(frames)])
        state = context.getState(getEnergy=True, getForces=True)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        return energy, state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.angstrom)

    results = [evaluate(k) for k in range(len(frames))]
    times = {}
    if job["repeats"]:
        times["energy + forces, lists included"] = protocol.repeat(job, evaluate)
        times["MD step"] = openmm_steps.time_steps(job, context)
    packages = " ".join(f"{name} {metadata.version(name)}" for name in ("openmmml", "openmm", *frameworks))
    given = {**job["potential_arguments"], **job["system_arguments"]}
    called = ", ".join([job["potential"], *(f"{key}={value}" for key, value in given.items())])
    return {
        "program": f"OpenMM-ML {job['potential']}",
        "implementation": f"OpenMM {job['platform']}, {called}; {packages}",
        "energies": [energy / KJ_PER_MOL for energy, _ in results],
        "forces": [(forces / KJ_PER_MOL).tolist() for _, forces in results],
        "times": times,
        "baseline_MB": baseline,
    }


def topology(job: dict):
    """One residue without bonds: a potential knows elements and the box, and no more."""
    import numpy as np
    from openmm import app, unit

    made = app.Topology()
    residue = made.addResidue("ALL", made.addChain())
    for number in job["atomic_numbers"]:
        element = app.Element.getByAtomicNumber(number)
        made.addAtom(element.symbol, element, residue)
    if job["cell"] is not None:
        made.setPeriodicBoxVectors(0.1 * np.array(job["cell"]) * unit.nanometer)
    return made


def imported(name: str) -> bool:
    """Whether a framework is there. It counts as a library, not as the model's memory."""
    try:
        __import__(name)
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    protocol.main(measure)
