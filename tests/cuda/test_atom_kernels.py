"""Kernels per atom and per molecule, one by one, executed on the CPU."""

import itertools
import math

import numpy as np
import pytest

SHAPE = "odd_double"


def test_sums_over_runs(emulated, thread_order):
    """Runs of very different lengths, an empty one among them, against correctly rounded sums."""
    module = emulated(SHAPE)
    rng = np.random.default_rng(0)
    starts = np.cumsum([0, 1, 0, 127, 128, 129, 5000, 3])
    values = rng.normal(size=(starts[-1], 3)) * 10.0 ** rng.integers(-3, 4, (starts[-1], 3))
    got = module.sums(module.Device(), values, starts)
    for run, (begin, end) in enumerate(itertools.pairwise(starts)):
        for column in range(3):
            exact = math.fsum(values[begin:end, column])
            assert got[run, column] == pytest.approx(exact, rel=1e-13, abs=1e-14 * np.abs(values[begin:end]).sum())
    assert (got[:, 3] == 0).all()


def test_sums_are_the_same_bits_in_every_order(emulated, monkeypatch):
    module = emulated(SHAPE)
    values = np.random.default_rng(1).normal(size=(3000, 2))
    results = []
    for order in ("forward", "reverse", "random:5"):
        monkeypatch.setenv("SO3KRATES_EMULATION_ORDER", order)
        results.append(module.sums(module.Device(), values, [0, 1024, 3000]))
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()


@pytest.mark.parametrize(
    ("row_width", "number", "atoms"), [(132, 4, 24), (132, 8, 8), (28, 8, 24), (252, 4, 16), (604, 8, 2), (2100, 8, 1)]
)
def test_blocks_of_atoms_fit_in_shared_memory(emulated, row_width, number, atoms):
    assert emulated(SHAPE).most_atoms_per_block(row_width, number) == atoms
    assert atoms == 1 or 3 * atoms * row_width * number <= 48 * 1024


@pytest.mark.parametrize(
    ("atoms", "most", "expected"),
    [
        (1, 24, 8),
        (88 * 8, 24, 8),
        (88 * 8 + 1, 24, 16),
        (132 * 16, 24, 16),
        (132 * 16 + 1, 24, 24),
        (10**6, 24, 24),
        (132 * 8 + 1, 16, 16),
        (10**6, 8, 8),
        (22, 2, 2),
    ],
)
def test_small_systems_have_blocks_for_more_multiprocessors(emulated, atoms, most, expected):
    assert emulated(SHAPE).atoms_per_block(atoms, 132, most) == expected
