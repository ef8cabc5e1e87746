"""Runner: energies and forces of openmm_so3krates.Potential. Lists are part of every call."""

from importlib import metadata

import protocol


def measure(job: dict) -> dict:
    import numpy as np

    from openmm_so3krates import Potential

    baseline = protocol.peak_memory()
    potential = Potential(
        job["model"],
        device=job["device"],
        precision=job["precision"],
        lr_cutoff=job["lr_cutoff"],
        threads=job["threads"],
    )
    frames = np.array(job["frames"])

    def compute(k: int):
        return potential.compute(job["atomic_numbers"], frames[k % len(frames)], cell=job["cell"])

    results = [compute(k) for k in range(len(frames))]
    times = {"energy + forces, lists included": protocol.repeat(job, compute)} if job["repeats"] else {}
    return {
        "program": f"openmm-so3krates {metadata.version('openmm-so3krates')}",
        "implementation": potential.implementation,
        "energies": [result.energy for result in results],
        "forces": [result.forces.tolist() for result in results],
        "times": times,
        "baseline_MB": baseline,
    }


if __name__ == "__main__":
    protocol.main(measure)
