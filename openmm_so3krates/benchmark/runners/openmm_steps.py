"""What the runners on OpenMM share: a Context for a job's atoms, and its steps."""

import time

import protocol

TEMPERATURE, FRICTION, SEED = 300, 1.0, 20240806  # K, 1/ps
BATCH_SECONDS = 0.1  # steps are timed in batches at least this long


def make_context(job: dict, system):
    """A Context with the LangevinMiddle integrator on the job's platform, at its first frame."""
    import numpy as np
    import openmm

    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, FRICTION, job["timestep"] * 1e-3)
    integrator.setRandomNumberSeed(SEED)
    platform = openmm.Platform.getPlatform(job["platform"])
    properties = {}
    if "Threads" in platform.getPropertyNames():
        properties["Threads"] = str(job["threads"])
    if "Precision" in platform.getPropertyNames():
        properties["Precision"] = "double" if job["precision"] == "double" else "mixed"  # as `so3krates md`
    context = openmm.Context(system, integrator, platform, properties)
    context.setPositions(0.1 * np.array(job["frames"][0]))
    return context


def time_steps(job: dict, context) -> list[float]:
    """Seconds per step, one number for each repeat."""
    integrator = context.getIntegrator()
    context.setVelocitiesToTemperature(TEMPERATURE, SEED)
    integrator.step(1)
    began = time.perf_counter()
    integrator.step(1)
    steps = max(1, min(100, round(BATCH_SECONDS / (time.perf_counter() - began))))

    def step(k: int) -> None:
        integrator.step(steps)
        context.getState(getPositions=True)  # a GPU works on while Python goes ahead; computes nothing

    return protocol.repeat(job, step, per_call=steps)
