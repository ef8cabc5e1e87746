"""What the engine is made to do under sanitizers, and as it is, for comparison. Needs neither torch nor OpenMM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cases import load_case
from test_engine_input import BAD, NUMBERS, POSITIONS

from openmm_so3krates import Potential
from openmm_so3krates._engine import neighbor_list

ELEMENTS = [1, 6, 7, 8]


def scattered(seed: int, num_atoms: int, cell, min_distance: float = 0.9) -> tuple:
    """Random atoms, no two (or images) too close, in a parallelepiped."""
    rng = np.random.default_rng(seed)
    cell = np.array(cell, float)
    shifts = np.array(list(np.ndindex(3, 3, 3))) @ cell - cell.sum(0)
    positions: list[np.ndarray] = []
    while len(positions) < num_atoms:
        candidate = rng.uniform(0, 1, 3) @ cell
        if all(np.linalg.norm(candidate - other + shifts, axis=1).min() > min_distance for other in positions):
            positions.append(candidate)
    return rng.choice(ELEMENTS, num_atoms), np.array(positions), cell


def free(seed: int, num_atoms: int, size: float) -> tuple:
    return *scattered(seed, num_atoms, size * np.eye(3))[:2], None


# Sizes rise and fall, so that work space of one evaluation is used again by larger and smaller ones.
SYSTEMS = {
    "single atom": ([8], [[1.0, 2.0, 3.0]], None),
    "molecule": free(1, 7, 3.0),
    "no pairs": ([8, 1, 6], [[0.0, 0, 0], [40.0, 0, 0], [0, 0, 5.0]], None),
    "cluster": free(2, 43, 7.0),
    "tiny box": ([8], [[1.0, 2.0, 3.0]], np.diag([2.2, 2.5, 2.7])),
    "flat box": scattered(3, 5, np.diag([2.5, 14.0, 3.1])),
    "triclinic box": scattered(4, 9, [[4.5, 0.0, 0.0], [-2.2, 4.3, 0.0], [1.1, -2.0, 4.1]]),
    "left-handed box": scattered(5, 20, [[0.0, 9.0, 0.0], [9.0, 0.5, 0.0], [-3.0, 2.0, 11.0]]),
    "far outside the box": (NUMBERS, np.array(POSITIONS) + 7e7, np.diag([6.0, 7.0, 8.0])),
    "0.3 Å": ([6, 1], [[0.0, 0, 0], [0.3, 0, 0]], None),
    "line": ([6, 8, 6], [[0.0, 0, -1.1], [0, 0, 0], [0, 0, 1.2]], None),
}


def refused(function) -> None:
    try:
        function()
    except ValueError:
        return
    raise AssertionError("bad input was not refused")


def run(folder: Path, so3lr: Path) -> dict[str, np.ndarray]:
    """Energies, forces and virials of every scenario with each model file in `folder`, and with SO3LR."""
    results = {}

    def keep(name, energies, forces, virials):
        results[f"{name}, energy"], results[f"{name}, forces"] = np.array(energies), forces
        results[f"{name}, virial"] = virials

    for path in sorted(folder.glob("*.safetensors")):
        for precision, threads in (("double", 1), ("single", 3)):
            potential = Potential(path, precision=precision, lr_cutoff=6.0, threads=threads)
            for name, (numbers, positions, cell) in SYSTEMS.items():
                state = {"cell": cell, "charge": 1.0, "spin": 2.0}
                result = potential.compute(numbers, positions, **state, virial=True)
                keep(f"{path.stem}, {precision}, {name}", result.energy, result.forces, result.virial)
                potential.compute(numbers, positions, **state, forces=False)
            batch = [SYSTEMS[name] for name in ("molecule", "tiny box", "no pairs", "single atom", "triclinic box")]
            result = potential.compute_batch(
                np.concatenate([numbers for numbers, _, _ in batch]),
                np.concatenate([positions for _, positions, _ in batch]),
                np.cumsum([0, *(len(numbers) for numbers, _, _ in batch)]),
                cells=np.array([np.zeros((3, 3)) if cell is None else cell for _, _, cell in batch]),
                charges=np.arange(5.0) - 2,
                spins=np.arange(5.0),
                virial=True,
            )
            keep(f"{path.stem}, {precision}, batch", result.energies, result.forces, result.virials)

    potential = Potential(folder / "everything.safetensors", threads=2, lr_cutoff=6.0)
    good = {"atomic_numbers": NUMBERS, "positions": POSITIONS}
    for change, _ in BAD.values():
        refused(lambda change=change: potential.compute(**{**good, **change}))
    two = {"atomic_numbers": NUMBERS * 2, "positions": POSITIONS * 2}
    for offsets in ([0, 3, 5], [1, 3, 6], [0, 4, 3, 6], [0, 3, 3, 6], [0, -2, 6], [0, 2**30, 6]):
        refused(lambda offsets=offsets: potential.compute_batch(**two, offsets=offsets))
    refused(lambda: Potential(so3lr, lr_cutoff=1000.0).compute(NUMBERS, POSITIONS, cell=10 * np.eye(3)))
    for lr_cutoff in (None, 2.0, 12.0):
        for precision in ("single", "double"):
            case = load_case("water")
            potential = Potential(so3lr, precision=precision, lr_cutoff=lr_cutoff, threads=2)
            result = potential.compute(case.atomic_numbers, case.positions, virial=True)
            keep(f"SO3LR, {precision}, {lr_cutoff}", result.energy, result.forces, result.virial)
    for name, (_, positions, cell) in SYSTEMS.items():
        results[f"{name}, edges"] = np.column_stack(neighbor_list(np.array(positions), 5.0, cell))
    return results
