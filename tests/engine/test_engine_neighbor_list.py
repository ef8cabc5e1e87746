"""The engine's neighbor list against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from openmm_so3krates._engine import neighbor_list


def brute_force(positions, cutoff, cell):
    """All edges (receiver, sender, shift) with their distances; every image that could be inside is looked at."""
    vectors = np.zeros((3, 3)) if cell is None else cell
    if cell is None:
        fractions, reach = np.zeros_like(positions), (0, 0, 0)
    else:
        fractions = positions @ np.linalg.inv(cell)
        # |fraction of a component| <= distance / height
        reach = np.ceil(cutoff * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int)
    found = {}
    for i, j in itertools.product(range(len(positions)), repeat=2):
        center = np.rint(fractions[i] - fractions[j]).astype(int)
        for image in itertools.product(*(range(c - n - 1, c + n + 2) for c, n in zip(center, reach, strict=True))):
            if (cell is None and any(image)) or (i == j and not any(image)):
                continue
            distance = np.linalg.norm(positions[j] + np.array(image) @ vectors - positions[i])
            if distance <= cutoff + 1e-6:
                found[(i, j, *image)] = distance
    return found


def assert_equal(positions, cutoff, cell):
    receivers, senders, shifts = neighbor_list(positions, cutoff, cell)
    assert (np.diff(receivers) >= 0).all()
    edges = [tuple(edge) for edge in np.column_stack([receivers, senders, shifts]).tolist()]
    assert len(set(edges)) == len(edges)
    expected = brute_force(positions, cutoff, cell)
    assert set(edges) <= set(expected)
    missing = [edge for edge in set(expected) - set(edges) if expected[edge] < cutoff - 1e-9]
    assert not missing
    assert all(expected[edge] < cutoff + 1e-9 for edge in edges)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_atoms=st.integers(1, 40),
    cutoff=st.floats(0.3, 7.0),
    size=st.floats(0.5, 40.0),
    origin=st.floats(-1e4, 1e4),
)
def test_free(seed, num_atoms, cutoff, size, origin):
    positions = np.random.default_rng(seed).uniform(0, size, (num_atoms, 3)) + origin
    assert_equal(positions, cutoff, None)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_atoms=st.integers(1, 8),
    cutoff=st.floats(0.3, 6.0),
    lengths=st.tuples(*[st.floats(1.5, 25.0)] * 3),
    skew=st.tuples(*[st.floats(-1.5, 1.5)] * 3),
    spread=st.sampled_from([0.0, 1.0, 30.0]),
)
def test_periodic(seed, num_atoms, cutoff, lengths, skew, spread):
    """Orthorhombic and oblique boxes of all sizes, turned in space, with atoms inside and far outside of them."""
    rng = np.random.default_rng(seed)
    cell = np.diag(lengths)
    cell[1, 0], cell[2, 0], cell[2, 1] = skew[0] * lengths[0], skew[1] * lengths[0], skew[2] * lengths[1]
    cell = cell @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assume((1 / np.linalg.norm(np.linalg.inv(cell), axis=0)).min() > 0.5)  # flatter boxes are refused
    positions = (rng.uniform(0, 1, (num_atoms, 3)) + spread * rng.integers(-1, 2, (num_atoms, 3))) @ cell
    assert_equal(positions, cutoff, cell)


def test_atoms_on_the_faces_of_the_box():
    cell = np.diag([4.0, 5.0, 6.0])
    positions = np.array([[0.0, 0, 0], [4.0, 5.0, 5.5], [2.0, 5.0, 0.0], [-1e-17, 2.5, 6.0], [4.0 - 1e-16, 1.0, 3.0]])
    assert_equal(positions, 2.7, cell)


def test_many_atoms_in_a_line():
    positions = np.zeros((300, 3))
    positions[:, 1] = 0.9 * np.arange(300)
    assert_equal(positions[:60], 2.0, None)
    receivers, _, _ = neighbor_list(positions, 2.0)
    assert len(receivers) == 2 * (299 + 298)


def test_two_atoms_far_apart():
    receivers, _, _ = neighbor_list(np.array([[0.0, 0, 0], [1e7, 1e7, -1e7]]), 5.0)
    assert len(receivers) == 0


def test_one_atom():
    assert len(neighbor_list(np.zeros((1, 3)), 5.0)[0]) == 0
    receivers, senders, shifts = neighbor_list(np.zeros((1, 3)), 2.5, np.diag([2.0, 9.0, 9.0]))
    assert receivers.tolist() == senders.tolist() == [0, 0]
    assert sorted(shifts.tolist()) == [[-1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("bad", [{"cutoff": -1.0}, {"cutoff": np.nan}, {"positions": np.zeros((3, 2))}])
def test_bad_input(bad):
    with pytest.raises(ValueError):
        neighbor_list(**{"positions": np.eye(3), "cutoff": 2.0, **bad})
