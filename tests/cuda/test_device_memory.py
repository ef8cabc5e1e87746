"""The memory that is computed without a device is what evaluations allocate, on the emulated one."""

import itertools

import numpy as np
import pytest
from cases import load_case
from emulated_potential import EmulatedPotential

from openmm_so3krates import _engine
from openmm_so3krates.benchmark import gpu_memory, systems
from openmm_so3krates.benchmark.measure import Settings


def row(positions, cell, cutoff) -> int:
    """The longest row, by brute force over images."""
    reach = 0 if cell is None else int(np.ceil(cutoff / np.abs(np.linalg.det(cell)) ** (1 / 3))) + 2
    counts = np.zeros(len(positions), int)
    for image in itertools.product(range(-reach, reach + 1), repeat=3):
        shift = np.zeros(3) if cell is None else np.array(image) @ cell
        distances = np.linalg.norm(positions[:, None] - positions - shift, axis=-1)
        if image == (0, 0, 0):
            np.fill_diagonal(distances, np.inf)
        counts += (distances < cutoff).sum(axis=1)
    return int(counts.max())


def computed(so3lr, numbers, cell, rows, lr_cutoff, virial=False) -> dict:
    model = _engine.Model.load(str(so3lr))
    return _engine.cuda_memory(model, "single", lr_cutoff, np.asarray(numbers, np.int32), cell, rows, True, virial)


@pytest.mark.parametrize("name, virial", [("acetate", False), ("water_8_smallcell", True)])
def test_evaluation(emulated, so3lr, name, virial):
    case = load_case(name)
    potential = EmulatedPotential(emulated("so3lr_float"), so3lr, case.lr_cutoff)
    before = potential.device.live_bytes
    potential.compute(case.atomic_numbers, case.positions, cell=case.cell, charge=case.charge, virial=virial)
    rows = [row(case.positions, case.cell, r) for r in (4.5, case.lr_cutoff, case.lr_cutoff + _engine.cuda_skin)]
    found = computed(so3lr, case.atomic_numbers, case.cell, rows, case.lr_cutoff, virial)
    assert found["model"] == before
    assert found["total"] == potential.device.live_bytes
    assert 0 < found["lists"] < found["total"] - found["model"]


def test_lists_by_cells(emulated, so3lr):
    """Above the size from which atoms are sorted into cells, before any row has grown."""
    atoms = 2100
    numbers, cell = np.ones(atoms, np.int32), 40.0 * np.eye(3)
    engine = emulated("so3lr_float").Potential(str(so3lr), 12.0)
    engine.prepare(numbers, np.array([0, atoms], np.int32), cell[None])
    assert computed(so3lr, numbers, cell, [0, 0, 0], 12.0)["total"] == engine.device.live_bytes


def test_what_atoms_add(so3lr):
    """By hand, of SO3LR in single precision: a longer row costs 8 bytes, and a strain 48 bytes per atom."""
    numbers, cell = np.ones(5184, np.int32), 60.0 * np.eye(3)
    at = {far: computed(so3lr, numbers, cell, [40, far, 900], 12.0) for far in (700, 708)}
    # 8 entries more, and an eighth for the row and for its buffer: (708 + 88) 9/8 against (700 + 87) 9/8
    growth = 8 * (5184 * (708 + 88 + 4) * 9 // 8 - 5184 * (700 + 87 + 4) * 9 // 8)
    assert at[708]["lists"] - at[700]["lists"] == at[708]["total"] - at[700]["total"] == growth
    strained = computed(so3lr, numbers, cell, [40, 700, 900], 12.0, virial=True)
    assert strained["total"] - at[700]["total"] == 48 * 5184


@pytest.mark.parametrize("rung", [0, 4])
def test_rows_of_the_ladder(rung):
    system = systems.LADDER[rung].build()
    for cutoff in (4.5, 6.0, 13.0):
        assert gpu_memory.longest_row(system, cutoff) == row(system.positions, system.cell, cutoff)


def test_memory_of_the_ladder(so3lr):
    """Water takes the same per atom at every size above that of the cells."""
    sizes = [rung for rung in systems.LADDER if rung.atoms in (5184, 12288)]
    small, large = (gpu_memory.gpu_memory(rung, Settings(model=str(so3lr))) for rung in sizes)
    assert small.model == large.model > 1e6
    per_atom = [(one.total - one.model) / one.atoms for one in (small, large)]
    assert per_atom[1] == pytest.approx(per_atom[0], rel=0.02) and 3e4 < per_atom[0] < 7e4
    text = gpu_memory.memory_table([small, large])
    assert f"{large.total / 1e6:.1f}" in text.splitlines()[-1]


def test_refusals(so3lr):
    with pytest.raises(ValueError, match="lr_cutoff"):
        computed(so3lr, [1, 1], 5 * np.eye(3), [0, 0, 0], None)
    with pytest.raises(ValueError, match="at least 1"):
        computed(so3lr, [], None, [0, 0, 0], 12.0)
    with pytest.raises(ValueError, match="negative"):
        computed(so3lr, [1], None, [0, -1, 0], 12.0)
