"""Runner: SO3LR's original JAX code (so3lr with mlff), compiled by XLA, as its jax-md interface runs it."""

import importlib.util
import os
import sys
import types
from pathlib import Path

import protocol


def import_without_init(name: str) -> None:
    """Lets submodules of a package be imported without the package's own imports, here ASE calculators and glp."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ImportError(f"{name} is not installed beside {sys.executable}")
    module = types.ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module


def commits() -> str:
    """Of the sources, where benchmarks/peers/set_up_jax.sh has left them: "so3lr 5ec39b9, mlff 191dcf1"."""
    found = []
    for name in ("so3lr", "mlff", "jax_md"):
        for folder in sys.modules[name].__path__:
            file = Path(folder).parent / "COMMIT"
            if file.exists():
                found.append(f"{name} {file.read_text().strip()}")
    return ", ".join(found)


def measure(job: dict) -> dict:
    if job["device"] == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ.setdefault("WANDB_MODE", "disabled")
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax_md import space

    import_without_init("so3lr")
    from so3lr.jaxmd_utils import to_jax_md
    from so3lr.potential import make_potential_fn

    double = job["precision"] == "double"
    jax.config.update("jax_enable_x64", double)
    dtype = jnp.float64 if double else jnp.float32
    jnp.zeros(1).block_until_ready()  # XLA starts
    baseline = protocol.peak_memory()
    frames = [jnp.array(positions, dtype) for positions in job["frames"]]
    if job["cell"] is None:
        displacement, _ = space.free()
        # jax-md takes a size of the system for its cells even without a box; below a few thousand atoms it needs none.
        box, extra = jnp.array([0.0]), {"disable_cell_list": True}
    else:
        cell = np.array(job["cell"])
        edges = np.diag(cell)
        if np.any(cell != np.diag(edges)) or edges.min() < 2 * job["lr_cutoff"]:
            raise ValueError(
                "jax-md takes the nearest image only: the box must be rectangular and twice lr_cutoff wide"
            )
        box, extra = jnp.array(edges, dtype), {}
        displacement, _ = space.periodic_general(box=box, fractional_coordinates=True)
        frames = [positions / box for positions in frames]
    periodic = job["cell"] is not None
    potential = make_potential_fn(lr_cutoff=job["lr_cutoff"], dtype=dtype)
    species = jnp.array(job["atomic_numbers"])
    short, long, energy_fn = to_jax_md(
        potential, displacement, box, species=species, fractional_coordinates=periodic, **extra
    )
    boxes = {"box": box} if periodic else {}

    @jax.jit
    def energy_and_forces(positions, neighbors, far_neighbors):
        energy, gradient = jax.value_and_grad(
            lambda r: energy_fn(r, neighbor=neighbors.idx, neighbor_lr=far_neighbors.idx, **boxes)
        )(positions)
        return energy, -gradient  # in real space: jax-md's fractional coordinates do not show in derivatives

    @jax.jit
    def rebuild(positions, neighbors, far_neighbors):
        return neighbors.update(positions, **boxes), far_neighbors.update(positions, **boxes)

    first = short.allocate(frames[0], **boxes), long.allocate(frames[0], **boxes)
    lists = [rebuild(positions, *first) for positions in frames]  # the frames hardly differ: one size of buffers
    if any(neighbors.did_buffer_overflow for pair in lists for neighbors in pair):
        raise RuntimeError("jax-md's neighbor lists overflow between two frames")
    results = [energy_and_forces(positions, *pair) for positions, pair in zip(frames, lists, strict=True)]

    def evaluate(k: int) -> None:
        jax.block_until_ready(energy_and_forces(frames[k % len(frames)], *lists[k % len(frames)]))

    def evaluate_with_lists(k: int) -> None:
        positions = frames[k % len(frames)]
        jax.block_until_ready(energy_and_forces(positions, *rebuild(positions, *first)))

    times = {}
    if job["repeats"]:
        times["energy + forces, lists given"] = protocol.repeat(job, evaluate)
        times["energy + forces, lists included"] = protocol.repeat(job, evaluate_with_lists)
    dtype_name = "float64" if double else "float32"
    return {
        "program": "so3lr (JAX)",
        "implementation": f"JAX {jax.__version__} {dtype_name} {jax.default_backend()}, {commits()}",
        "energies": [float(energy) for energy, _ in results],
        "forces": [np.array(forces, float).tolist() for _, forces in results],
        "times": times,
        "baseline_MB": baseline,
    }


if __name__ == "__main__":
    protocol.main(measure)
