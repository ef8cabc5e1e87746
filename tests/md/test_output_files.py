"""The growing files of a run: read by others, cut back, and valid after a failed write."""

import errno
import os

import mdtraj
import numpy as np
import pytest
from openmm import app, unit

from openmm_so3krates.md.append_file import AppendFile
from openmm_so3krates.md.checkpoint import Checkpoint
from openmm_so3krates.md.errors import OutputError
from openmm_so3krates.md.interruption import Interruption
from openmm_so3krates.md.trajectory import open_trajectory, read_positions

TRICLINIC = np.array([[2.0, 0, 0], [0.3, 2.1, 0], [-0.4, 0.5, 2.2]])


def frames_and_topology(num_atoms, num_frames):
    topology = mdtraj.Topology()
    residue = topology.add_residue("X", topology.add_chain())
    for _ in range(num_atoms):
        topology.add_atom("C", mdtraj.element.carbon, residue)
    return np.random.default_rng(3).uniform(-1, 2, (num_frames, num_atoms, 3)), topology


@pytest.mark.parametrize("box", [None, TRICLINIC], ids=["vacuum", "triclinic"])
@pytest.mark.parametrize("suffix, tolerance", [(".dcd", 1e-6), (".xtc", 6e-4)])
@pytest.mark.parametrize("num_atoms", [1, 9, 10, 42])
def test_mdtraj_reads_what_was_written(tmp_path, box, suffix, tolerance, num_atoms):
    positions, topology = frames_and_topology(num_atoms, 5)
    path = tmp_path / f"t{suffix}"
    writer = open_trajectory(path, num_atoms, 0.0005, 20, box is not None, None)
    for index, frame in enumerate(positions):
        writer.append(frame, box, 20 * index, 0.01 * index)
    writer.close()
    read = mdtraj.load(str(path), top=topology)
    np.testing.assert_allclose(read.xyz, positions, atol=tolerance)
    if box is None:
        assert read.unitcell_vectors is None
    else:
        np.testing.assert_allclose(read.unitcell_vectors, np.broadcast_to(box, (5, 3, 3)), atol=1e-5)
    if suffix == ".xtc":
        np.testing.assert_allclose(read.time, 0.01 * np.arange(5), atol=1e-6)
    ours = list(read_positions(path, topology, chunk=2))
    assert [len(chunk) for chunk in ours] == [2, 2, 1]
    np.testing.assert_allclose(np.concatenate(ours), read.xyz, atol=1e-6)


def test_dcd_is_byte_for_byte_openmms(tmp_path, peptide):
    """But for the title OpenMM's own writer agrees, header counts included."""
    topology = app.PDBFile(str(peptide)).topology
    positions, _ = frames_and_topology(42, 3)
    ours, theirs = tmp_path / "ours.dcd", tmp_path / "theirs.dcd"
    writer = open_trajectory(ours, 42, 0.0005, 20, False, None)
    with open(theirs, "w+b") as file:
        openmms = app.DCDFile(file, topology, 0.0005 * unit.picosecond, interval=20)
        for frame in positions:
            writer.append(frame, None, 0, 0.0)
            openmms.writeModel(frame * unit.nanometer)
    header = 92
    assert ours.read_bytes()[:header] == theirs.read_bytes()[:header]
    frame_bytes = 3 * (42 * 4 + 8)
    assert ours.read_bytes()[-3 * frame_bytes :] == theirs.read_bytes()[-3 * frame_bytes :]


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
@pytest.mark.parametrize("torn", [0, 1, 100])
def test_continuing_cuts_off_what_came_after_the_checkpoint(tmp_path, suffix, torn):
    positions, topology = frames_and_topology(42, 6)
    path = tmp_path / f"t{suffix}"
    writer = open_trajectory(path, 42, 0.0005, 1, False, None)
    for index in range(3):
        writer.append(positions[index], None, index, 0.0005 * index)
    size = writer.size
    writer.append(positions[5], None, 5, 0.0)
    writer.close()
    with open(path, "ab") as file:
        file.write(bytes(torn))  # a frame that a kill left unfinished
    writer = open_trajectory(path, 42, 0.0005, 1, False, size)
    for index in (3, 4):
        writer.append(positions[index], None, index, 0.0005 * index)
    writer.close()
    np.testing.assert_allclose(mdtraj.load(str(path), top=topology).xyz, positions[:5], atol=6e-4)


def test_append_file_takes_a_failed_piece_back(tmp_path, monkeypatch):
    path = tmp_path / "log"
    file = AppendFile(path)
    file.append(b"whole\n")
    real = os.pwrite

    def full_disk(handle, data, offset):
        if offset >= 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data[:3], offset)

    monkeypatch.setattr(os, "pwrite", full_disk)
    with pytest.raises(OutputError, match=r"cannot write .*log: No space left on device"):
        file.append(b"torn piece\n")
    assert path.read_bytes() == b"whole\n" and file.size == 6
    monkeypatch.undo()
    file.append(b"next\n")
    file.close()
    assert path.read_bytes() == b"whole\nnext\n"


def test_append_file_refuses_a_file_that_shrank(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"abc")
    with pytest.raises(OutputError, match=r"shorter .3 bytes. than when its checkpoint was written .5 bytes."):
        AppendFile(path, size=5)


def checkpoint(**changes) -> Checkpoint:
    rng = np.random.default_rng(0)
    values = {
        "stage": "production",
        "step": 7,
        "positions": rng.normal(size=(4, 3)),
        "velocities": rng.normal(size=(4, 3)),
        "box": np.eye(3),
        "sizes": {"log.csv": 12},
        "wall_seconds": 1.5,
        "context_state": bytes(range(256)),
        "platform_key": "CPU",
    }
    return Checkpoint(**{**values, **changes})


def test_checkpoint_round_trip(tmp_path):
    checkpoint().save(tmp_path / "c.npz")
    read = Checkpoint.load(tmp_path / "c.npz")
    for name, value in vars(checkpoint()).items():
        np.testing.assert_array_equal(getattr(read, name), value)


@pytest.mark.parametrize("size", [0, 1, 100, 1000])
def test_damaged_checkpoint(tmp_path, size):
    path = tmp_path / "c.npz"
    checkpoint().save(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(OutputError, match="is not a readable checkpoint"):
        Checkpoint.load(path)


def test_checkpoint_with_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "c.npz", header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(OutputError, match="is not a readable checkpoint"):
        Checkpoint.load(tmp_path / "c.npz")


def test_failed_checkpoint_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    checkpoint().save(path)

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match=r"cannot write .*c.npz: No space left on device"):
        checkpoint(step=9).save(path)
    monkeypatch.undo()
    assert Checkpoint.load(path).step == 7
    assert [file.name for file in tmp_path.iterdir()] == ["c.npz"]


def test_interruption_is_noted_and_handlers_come_back():
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with Interruption() as interruption:
        assert not interruption
        signal.raise_signal(signal.SIGTERM)
        assert interruption and interruption.signal_number == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == before  # a second one acts as usual
    assert signal.getsignal(signal.SIGTERM) == before
