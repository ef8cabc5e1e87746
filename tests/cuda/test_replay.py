"""Evaluations recorded at their second time and replayed from then on, executed on the CPU."""

import numpy as np
import pytest
from random_models import hyperparameters, random_model
from test_cuda_potential import ODD
from test_device_potential import LR_CUTOFF, Batch, assert_same_bits


@pytest.fixture(scope="module")
def make(emulated, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "odd.safetensors"
    random_model(hyperparameters(**ODD, zbl=True)).save(path, provenance={"source": "random numbers"})
    return lambda: emulated("odd_double").Potential(str(path), LR_CUTOFF)


def run(potential, batch, **wishes) -> bool:
    """One evaluation, compared with a fresh one; whether it was replayed."""
    batch.prepare(potential, **wishes)
    return potential.run()


def test_the_second_evaluation_is_recorded(make):
    """With forces and without in turn: each has a recording, which holds until something moves."""
    potential = make()
    seen = []
    for step in range(6):
        batch = Batch().moved(step)
        seen.append(run(potential, batch, forces=step % 2 == 0))
        assert_same_bits(potential.buffers(), batch.run(make(), forces=step % 2 == 0))
    # Without forces the first time has no arrays for the way back: making them moves nothing that was recorded.
    assert seen == [False, False, True, True, True, True]


def test_larger_lists_and_other_atoms_are_recorded_anew(make):
    potential = make()
    assert [run(potential, Batch().moved(step)) for step in range(2)] == [False, True]
    crowded = Batch().scaled(0.4)  # many more images and neighbors
    seen = [run(potential, crowded) for _ in range(3)]
    assert seen == [False, False, True] or seen == [False, True, True]
    assert_same_bits(potential.buffers(), crowded.run(make()))
    other = Batch()
    other.numbers = other.numbers[::-1].copy()
    assert [run(potential, other) for _ in range(2)] == [False, True]
    assert_same_bits(potential.buffers(), other.run(make()))


def crowd(spacing):
    """72 atoms on a grid, without a box. Rows have room for 64 to begin with."""
    batch = Batch()
    batch.numbers, batch.offsets = np.tile(Batch().numbers, 9), np.array([0, 72])
    batch.positions = spacing * np.stack(np.meshgrid(np.arange(3), np.arange(4), np.arange(6)), -1).reshape(-1, 3)
    batch.cells = np.zeros((1, 3, 3))
    return batch


SPARSE, DENSE = crowd(4.0), crowd(0.8)


def test_rows_that_overflow_in_a_replay(make):
    """The evaluation is repeated with more room, not by the recording."""
    potential = make()
    assert [run(potential, SPARSE) for _ in range(2)] == [False, True]
    assert not run(potential, DENSE)
    assert_same_bits(potential.buffers(), DENSE.run(make()))


def test_a_driver_whose_events_come_too_early(make):
    """The lists' status is that of this evaluation, not the one before: rows that overflow, atoms at one place."""
    potential = make()
    coincident = crowd(4.0)
    coincident.positions[3] = coincident.positions[1]
    potential.device.replays = "late"
    for batch in (SPARSE, SPARSE, DENSE, DENSE, SPARSE, SPARSE):
        run(potential, batch)
        assert_same_bits(potential.buffers(), batch.run(make()))
    with pytest.raises(ValueError, match=r"atoms 1 and 3 .* same place"):
        run(potential, coincident)
    assert run(potential, SPARSE)
    assert_same_bits(potential.buffers(), SPARSE.run(make()))


def test_a_driver_that_executes_nothing(make):
    """Never the results of an evaluation before."""
    potential = make()
    for step in range(2):
        run(potential, Batch().moved(step))
    potential.device.replays = "never"
    with pytest.raises(RuntimeError, match=r"told nothing of this evaluation.*SO3KRATES_CUDA_GRAPHS=0"):
        run(potential, Batch().moved(3))
    potential.device.replays = "at once"
    batch = Batch().moved(4)
    assert run(potential, batch)
    assert_same_bits(potential.buffers(), batch.run(make()))


def break_off_and_go_on(make, potential, launches):
    """An evaluation that fails after so many launches; then a replay whose event comes too early, of longer rows."""
    SPARSE.prepare(potential)
    potential.device.launches_left = launches
    with pytest.raises(RuntimeError, match="launch that the test lets fail"):
        potential.enqueue()
    potential.device.replays = "late"
    DENSE.prepare(potential)
    potential.record()
    potential.replay()
    assert not potential.finish()
    run(potential, DENSE)
    assert_same_bits(potential.buffers(), DENSE.run(make()))


def test_after_an_evaluation_that_broke_off(make):
    """What it had told of its lists is not taken for the next one's."""
    potential = make()
    run(potential, SPARSE)
    break_off_and_go_on(make, potential, launches=5)


def test_after_builds_that_nobody_watched(make, emulated):
    """They were counted and not told of: what was told before them is not taken for the next evaluation's lists."""
    potential = make()
    run(potential, SPARSE)
    positions, numbers = SPARSE.positions.copy(), SPARSE.numbers
    results = [np.zeros(shape) for shape in (1, positions.shape, len(numbers), (3, 3))]
    for array in (positions, *results):
        potential.device.adopt(array.ctypes.data, array.nbytes)
    tensors = emulated("odd_double").Tensors(
        positions.ctypes.data, 0, *(array.ctypes.data for array in results), False, False
    )
    no_cells = np.zeros((0, 3, 3))
    potential.compute_tensors(numbers, no_cells, tensors)
    potential.record_tensors(numbers, no_cells, tensors)
    for _ in range(2):
        potential.replay()
    break_off_and_go_on(make, potential, launches=1)
