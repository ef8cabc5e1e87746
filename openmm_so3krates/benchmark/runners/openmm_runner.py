"""Runner: steps of OpenMM's LangevinMiddle integrator with SO3kratesForce on one platform."""

from importlib import metadata

import openmm_steps
import protocol


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
    times = openmm_steps.time_steps(job, openmm_steps.make_context(job, system))
    return {
        "program": f"openmm-so3krates {metadata.version('openmm-so3krates')}, OpenMM {openmm.version.short_version}",
        "implementation": f"OpenMM {job['platform']}",
        "times": {"MD step": times},
        "baseline_MB": baseline,
    }


if __name__ == "__main__":
    protocol.main(measure)
