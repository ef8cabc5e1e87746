"""Contexts on OpenMM's CUDA platform with a pretended GPU; test_openmm_platform.py runs it in a process of its own.

Arguments: libOpenMMCUDA.so, the pretended driver, a model file, a folder for OpenMM's files. Prints JSON.
"""

import ctypes
import gc
import json
import sys

import numpy as np
import openmm

plugin, driver_path, model, folder = sys.argv[1:]
driver = ctypes.CDLL(driver_path)
for text in ("stub_first_error", "stub_leaks"):
    getattr(driver, text).restype = ctypes.c_char_p
driver.stub_count.restype = ctypes.c_long
openmm.Platform.loadPluginLibrary(plugin)

from openmm_so3krates import SO3kratesForce, platforms  # noqa: E402

assert platforms.problems == {}, platforms.problems

NUMBERS = [8, 1, 1, 6, 1]
RNG = np.random.default_rng(8)
# Water and CH in a triclinic box, between particles of no concern; the region's atoms in any order.
POSITIONS = np.array([[0.1, 0.1, 0], [0.19, 0.1, 0.02], [0.08, 0.2, 0], [0.45, 0.4, 0.38], [0.45, 0.4, 0.5]])
BOX = [[0.9, 0, 0], [0.1, 0.95, 0], [0.05, -0.1, 0.92]]
PARTICLES = [6, 2, 3, 0, 5]
COUNT = 8


def make_context(platform: str, periodic: bool, force_field: bool = False):
    """force_field: also a NonbondedForce, which leaves out the region; its kernels do nothing on the pretended GPU."""
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*BOX)
    for _ in range(COUNT):
        system.addParticle(12)
    force = SO3kratesForce(
        model,
        atomic_numbers=NUMBERS,
        atoms=PARTICLES,
        lr_cutoff=0.5,
        periodic=periodic,
        precision="double",
        scale_parameter="lambda",
    )
    system.addForce(force)
    if force_field:
        nonbonded = openmm.NonbondedForce()
        nonbonded.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
        nonbonded.setCutoffDistance(0.4)
        for _ in range(COUNT):
            nonbonded.addParticle(0, 1, 0)
        for i, first in enumerate(PARTICLES):
            for second in PARTICLES[:i]:
                nonbonded.addException(first, second, 0, 1, 0)
        system.addForce(nonbonded)
    properties = {"Precision": "double", "TempDirectory": folder} if platform == "CUDA" else {}
    # Verlet's would ask for forces wherever the energy is asked for.
    context = openmm.Context(
        system, openmm.LangevinMiddleIntegrator(300, 1, 0.001), openmm.Platform.getPlatformByName(platform), properties
    )
    return context, force


def positions_at(step: int) -> np.ndarray:
    positions = RNG.uniform(0, 1, (COUNT, 3))
    positions[PARTICLES] = POSITIONS + np.random.default_rng(step).normal(scale=0.003, size=POSITIONS.shape)
    return positions


def difference(context, reference, forces: bool, energy: bool) -> float:
    """The largest error of what is asked for, in kJ/mol and nm, over the largest value."""
    states = [c.getState(forces=forces, energy=energy) for c in (context, reference)]
    errors = []
    if forces:
        values = [state.getForces(asNumpy=True)._value for state in states]
        errors.append(np.abs(values[0] - values[1]).max() / np.abs(values[1]).max())
    if energy:
        values = [state.getPotentialEnergy()._value for state in states]
        errors.append(abs(values[0] - values[1]) / abs(values[1]))
    return max(errors)


def run(periodic: bool) -> dict:
    driver.stub_set_atoms(ctypes.c_long(COUNT))
    (context, force), (reference, _) = make_context("CUDA", periodic), make_context("Reference", periodic)
    errors, implementations, launches = [], [], driver.stub_count(b"cuGraphLaunch")
    wishes = [(True, False), (False, True), (True, False), (False, True), (True, True), (True, False)]
    for step, (forces, energy) in enumerate(wishes):
        for c in (context, reference):
            c.setParameter("lambda", 1 + 0.5 * step)
            # As by a barostat.
            c.setPeriodicBoxVectors(*((1 + 0.01 * step) * np.array(BOX)))
        positions = positions_at(step)
        context.setPositions(positions)
        reference.setPositions(positions)
        errors.append(difference(context, reference, forces, energy))
        implementations.append(force.getImplementation(context))
    predicted, expected = force.getPrediction(context), None
    expected = SO3kratesForce(reference.getSystem().getForce(0)).getPrediction(reference)
    errors.append(float(np.abs(predicted.partial_charges._value - expected.partial_charges._value).max()))
    # Errors leave the Context usable.
    coincident = positions.copy()
    coincident[PARTICLES[1]] = coincident[PARTICLES[0]]
    context.setPositions(coincident)
    try:
        context.getState(forces=True)
        message = ""
    except openmm.OpenMMException as error:
        message = str(error)
    context.setPositions(positions)
    errors.append(difference(context, reference, True, True))
    launches = driver.stub_count(b"cuGraphLaunch") - launches
    del context, force
    gc.collect()
    return {
        "errors": errors,
        "implementations": implementations,
        "graph_launches": launches,
        "message": message,
        "leaks": driver.stub_leaks().decode(),
        "current_contexts": driver.stub_current_contexts(),
    }


results = {"molecule": run(False), "periodic": run(True)}
first, second = make_context("CUDA", False)[0], make_context("CUDA", True)[0]
for context in (first, second, first):
    context.setPositions(positions_at(0))
    context.getState(forces=True)
del first, second, context
gc.collect()
results["two_contexts_leaks"] = driver.stub_leaks().decode()
context = make_context("CUDA", False, force_field=True)[0]
positions = positions_at(0)
results["images"] = []
for shift in (0.0, BOX[0][0], 0.0):
    shifted = positions.copy()
    shifted[PARTICLES[0], 0] += shift
    context.setPositions(shifted)
    try:
        context.getState(forces=True)
        results["images"].append("")
    except openmm.OpenMMException as error:
        results["images"].append(str(error))
del context
gc.collect()
results["contexts_cleared"] = driver.stub_count(b"cuModuleUnload")  # by the engine; OpenMM never unloads
results["first_error"] = driver.stub_first_error().decode()
results["captures"] = driver.stub_count(b"cuStreamBeginCapture_v2")
print("RESULTS " + json.dumps(results))
