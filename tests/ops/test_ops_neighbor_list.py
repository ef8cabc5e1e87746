"""openmm_so3krates.ops.neighbor_list: what it promises beyond the engine's own tests (tests/engine)."""

import numpy as np
import pytest

from openmm_so3krates import ops


def test_a_chain():
    receivers, senders, shifts = ops.neighbor_list([[0, 0, 0], [0, 0, 1], [0, 0, 2.5]], 2)
    assert receivers.tolist() == [0, 1, 1, 2]
    assert senders.tolist() == [1, 0, 2, 1]
    assert shifts.tolist() == [[0, 0, 0]] * 4
    assert receivers.dtype == senders.dtype == shifts.dtype == np.int32


def test_simple_cubic_lattice():
    """One atom in a cubic box: 6, 12 and 8 images at 1, sqrt(2) and sqrt(3) box lengths."""
    for cutoff, images in [(2.9, 0), (3.1, 6), (4.3, 18), (5.3, 26)]:
        receivers, senders, shifts = ops.neighbor_list(np.full((1, 3), 100.0), cutoff, 3 * np.eye(3))
        assert len(receivers) == len(senders) == len(shifts) == images
        assert (np.linalg.norm(3 * shifts, axis=1) < cutoff).all()


def test_vectors_are_shorter_than_the_cutoff_and_come_in_pairs():
    rng = np.random.default_rng(0)
    cell = np.array([[6.0, 0, 0], [2, 5, 0], [-1, 2, 4]])
    positions = rng.uniform(-2, 3, (20, 3)) @ cell
    receivers, senders, shifts = ops.neighbor_list(positions, 5.0, cell)
    vectors = positions[senders] + shifts @ cell - positions[receivers]
    assert (np.linalg.norm(vectors, axis=1) < 5).all()
    edges = {tuple(e) for e in np.column_stack([receivers, senders, shifts]).tolist()}
    assert len(edges) == len(receivers) > 1000
    assert edges == {(j, i, -a, -b, -c) for i, j, a, b, c in edges}
    order = np.lexsort([*shifts.T[::-1], senders, receivers])
    assert (order == np.arange(len(order))).all()


def test_torch_tensors_and_zero_cell():
    torch = pytest.importorskip("torch")
    positions = torch.eye(3, dtype=torch.float32)
    expected = ops.neighbor_list(np.eye(3), 2.0)
    for cell in (None, torch.zeros(3, 3)):
        for a, b in zip(ops.neighbor_list(positions, 2.0, cell), expected, strict=True):
            assert (a == b).all()


class OnGpu:
    __cuda_array_interface__ = {"shape": (2, 3), "typestr": "<f8", "data": (0, False), "version": 3}  # noqa: RUF012


class OnGpuByDlpack:
    def __dlpack_device__(self):
        return (2, 0)


@pytest.mark.parametrize("array", [OnGpu(), OnGpuByDlpack()])
def test_gpu_arrays_of_unknown_libraries_are_refused(array):
    for name, message in (("positions", "give a torch tensor or a CuPy array"), ("cell", "is an array on a GPU")):
        with pytest.raises(ValueError, match=message):
            ops.neighbor_list(**{"positions": np.eye(3), "cutoff": 2.0, name: array})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"positions": np.zeros((3, 2))}, "positions must have shape"),
        ({"positions": [[0, 0, np.nan]]}, "positions must be finite"),
        ({"positions": np.zeros((2, 3))}, "same place"),
        ({"cutoff": 0.0}, "cutoff"),
        ({"cutoff": -1.0}, "cutoff"),
        ({"cutoff": np.inf}, "cutoff"),
        ({"cutoff": "far"}, "cutoff must be a number"),
        ({"cell": np.eye(2)}, "cell must have shape"),
        ({"cell": np.diag([1.0, 1.0, 0.0])}, "degenerate"),
        ({"cell": np.diag([1.0, 1.0, np.nan])}, "finite"),
    ],
)
def test_bad_input(changed, message):
    with pytest.raises(ValueError, match=message):
        ops.neighbor_list(**{"positions": np.eye(3), "cutoff": 2.0, **changed})
