"""ops.neighbor_list with positions on the device, executed on the CPU, against the CPU engine."""

import fake_gpu
import numpy as np
import pytest
from fake_gpu import FakeArray
from random_models import random_box, random_molecule

from openmm_so3krates import ops


@pytest.fixture
def engine(emulated, monkeypatch):
    fake_gpu.install(monkeypatch)
    made = emulated("odd_double").EdgeList()
    monkeypatch.setattr(ops, "_edge_list", lambda index: made)
    return made


def test_as_on_the_cpu(engine):
    """Boxes of many images, atoms outside of them, changing sizes; rows that have to grow."""
    for cutoff in (2.0, 9.0):
        for system in (random_box(), random_molecule(num_atoms=11), random_box(1), random_box(2, 3)):
            positions = system.positions.astype(np.float32)
            expected = ops.neighbor_list(positions, cutoff, system.cell)
            found = ops.neighbor_list(FakeArray(positions, engine.device), cutoff, system.cell)
            for array, values in zip(found, expected, strict=True):
                assert array.values.dtype == np.int32
                np.testing.assert_array_equal(array.values, values)
    assert len(expected[0]) > 64 * len(positions)  # what rows have room for at first
    assert set(engine.device.followed_streams) == {7}


def test_nobody_near(engine):
    receivers, senders, shifts = ops.neighbor_list(FakeArray(np.zeros((1, 3)), engine.device), 3.0)
    assert receivers.values.shape == senders.values.shape == (0,) and shifts.values.shape == (0, 3)


def test_what_cannot_be_used_is_refused(engine):
    def refused(message, positions, cutoff=2.0, cell=None):
        with pytest.raises(ValueError, match=message):
            ops.neighbor_list(FakeArray(positions, engine.device), cutoff, cell)

    refused("positions must have shape", np.zeros((3, 2)))
    refused("same place", np.zeros((3, 3)))
    refused("position of atom 1", np.array([[0, 0, 0], [0, np.nan, 0.0]]))
    refused("positive length", np.eye(3), -1.0)
    refused("degenerate", np.eye(3), 2.0, np.diag([1.0, 1, 0]))
