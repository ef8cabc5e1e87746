"""Runner: SO3LR in so3krates-torch (PyTorch), as its ASE calculator runs it."""

from importlib import metadata

import protocol


def measure(job: dict) -> dict:
    import ase
    import numpy as np
    import torch
    from so3krates_torch.calculator.so3 import SO3LRCalculator

    torch.set_num_threads(job["threads"])
    baseline = protocol.peak_memory()
    dtype = {"single": "float32", "double": "float64"}[job["precision"]]
    calculator = SO3LRCalculator(r_max_lr=job["lr_cutoff"], default_dtype=dtype, device=job["device"])
    frames = [
        ase.Atoms(job["atomic_numbers"], positions, cell=job["cell"], pbc=job["cell"] is not None)
        for positions in job["frames"]
    ]

    def calculate(k: int) -> dict:
        calculator.calculate(frames[k % len(frames)])
        return calculator.results

    results = [{key: np.array(value) for key, value in calculate(k).items()} for k in range(len(frames))]
    batches = [calculator._atoms_to_batch(frame) for frame in frames]

    def evaluate(k: int) -> None:
        output = calculator.models[0](batches[k % len(frames)].clone().to_dict(), compute_stress=False)
        output["forces"].detach().cpu()

    times = {}
    if job["repeats"]:
        times["energy + forces, lists given"] = protocol.repeat(job, evaluate)
        times["energy + forces, lists included"] = protocol.repeat(job, calculate)
    return {
        "program": f"so3krates-torch {metadata.version('so3krates-torch')}",
        "implementation": f"PyTorch {torch.__version__} {dtype} {job['device']}",
        "energies": [float(result["energy"]) for result in results],
        "forces": [result["forces"].tolist() for result in results],
        "times": times,
        "baseline_MB": baseline,
    }


if __name__ == "__main__":
    protocol.main(measure)
