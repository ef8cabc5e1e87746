"""Runner: steps of OpenMM's LangevinMiddle integrator with SO3kratesForce on one platform."""

import time
from importlib import metadata

import protocol

TEMPERATURE, FRICTION, SEED = 300, 1.0, 20240806  # K, 1/ps
BATCH_SECONDS = 0.1  # steps are timed in batches at least this long


def measure(job: dict) -> dict:
    import numpy as np
    import openmm
    from openmm.app import Element

    from openmm_so3krates import SO3kratesForce

    baseline = protocol.peak_memory()
    system = openmm.System()
    for number in job["atomic_numbers"]:
        system.addParticle(Element.getByAtomicNumber(number).mass)
    if job["cell"] is not None:
        system.setDefaultPeriodicBoxVectors(*(0.1 * np.array(job["cell"])))
    force = SO3kratesForce(
        job["model"],
        atomic_numbers=job["atomic_numbers"],
        lr_cutoff=0.1 * job["lr_cutoff"],
        periodic=job["cell"] is not None,
        precision=job["precision"],
    )
    system.addForce(force)
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
    context.setVelocitiesToTemperature(TEMPERATURE, SEED)
    integrator.step(1)
    began = time.perf_counter()
    integrator.step(1)
    steps = max(1, min(100, round(BATCH_SECONDS / (time.perf_counter() - began))))

    def step(k: int) -> None:
        integrator.step(steps)
        context.getState(getPositions=True)  # a GPU works on while Python goes ahead; computes nothing

    return {
        "program": f"openmm-so3krates {metadata.version('openmm-so3krates')}, OpenMM {openmm.version.short_version}",
        "implementation": f"OpenMM {job['platform']}",
        "times": {"MD step": protocol.repeat(job, step, per_call=steps)},
        "baseline_MB": baseline,
    }


if __name__ == "__main__":
    protocol.main(measure)
