"""Evaluations recorded at their second time and replayed from then on, executed on the CPU."""

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


def test_rows_that_overflow_in_a_replay(make):
    """The evaluation is repeated with more room, not by the recording."""
    potential = make()
    spread = Batch()
    spread.positions[:5] *= 3
    spread.cells *= 3
    tight = Batch()
    tight.cells *= 3
    tight.positions[:5] *= 0.4
    for _ in range(2):
        run(potential, spread)
    run(potential, tight)
    assert_same_bits(potential.buffers(), tight.run(make()))
