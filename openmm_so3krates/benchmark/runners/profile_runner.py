"""Runner: time of each stage of openmm_so3krates.Potential, numbers of pairs, and the processor's measured peak."""

import time

import protocol


def measure(job: dict) -> dict:
    import numpy as np

    from openmm_so3krates import Potential

    potential = Potential(job["model"], precision=job["precision"], lr_cutoff=job["lr_cutoff"], threads=job["threads"])
    frames = np.array(job["frames"])
    arguments = {"cell": job["cell"]}
    recorded: list[list[tuple[str, int, float]]] = []

    def compute(k: int) -> None:
        recorded.append(potential.time_stages(job["atomic_numbers"], frames[k % len(frames)], **arguments))

    seconds = protocol.repeat(job, compute)
    stages = [(stage, layer) for stage, layer, _ in recorded[-1]]
    times = np.array([[entry[2] for entry in one] for one in recorded[-len(seconds) :]])
    cell = None if job["cell"] is None else np.array(job["cell"])
    return {
        "implementation": potential.implementation,
        "stages": [
            {"stage": stage, "layer": layer, "ms": 1e3 * float(median)}
            for (stage, layer), median in zip(stages, np.median(times, axis=0), strict=True)
        ],
        "total_ms": 1e3 * float(np.median(times, axis=0).sum()),
        "call_ms": 1e3 * float(np.median(seconds)),
        "repeats": len(seconds),
        "pairs": count_pairs(frames[0], job["cutoff"], cell) // 2,
        "far_pairs": count_pairs(frames[0], job["lr_cutoff"], cell),
        "peak_gflops": peak(np.float32 if job["precision"] == "single" else np.float64),
    }


def count_pairs(positions, cutoff: float, cell) -> int:
    """Pairs inside the cutoff (Å), counted from both sides."""
    import numpy as np
    from scipy.spatial import cKDTree

    from openmm_so3krates import _engine

    if cell is None or np.diag(cell).min() < 2 * cutoff:
        return len(_engine.neighbor_list(positions, cutoff, cell)[0])  # sees several images of one atom
    edges = np.diag(cell)
    tree = cKDTree(positions % edges, boxsize=edges)
    return int(tree.count_neighbors(tree, cutoff)) - len(positions)


def peak(dtype, size: int = 1536, repeats: int = 5) -> float:
    """10⁹ operations per second of the fastest of some large matrix products in NumPy."""
    import numpy as np

    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(size, size)).astype(dtype) for _ in range(2))
    fastest = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        a @ b
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * size**3 / fastest / 1e9


if __name__ == "__main__":
    protocol.main(measure)
