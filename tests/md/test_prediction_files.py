"""Dipole, energy parts and charges along a run: right, whole lines and rows only, continued without a seam."""

import errno
import os
from pathlib import Path

import mdtraj
import numpy as np
import pytest
from openmm import unit

from openmm_so3krates import Prediction
from openmm_so3krates.md.append_file import AppendFile
from openmm_so3krates.md.errors import OutputError
from openmm_so3krates.md.prediction_files import ChargeFile

COMMON = ["--save-every", 5, "--seed", 9, "--threads", 1, "--platform", "CPU", "--predictions"]


def prediction(charges) -> Prediction:
    return Prediction({}, np.array(charges) * unit.elementary_charge, None, None)


def test_along_a_run(md, springs, peptide, tmp_path):
    folder = tmp_path / "run"
    status, _, err = md(peptide, "--output", folder, "--steps", 20, "--equilibrate", "5fs", *COMMON)
    assert status == 0, err
    table = np.genfromtxt(folder / "predictions.csv", delimiter=",", names=True)
    log = np.genfromtxt(folder / "log.csv", delimiter=",", names=True)
    for column in ("step", "time_ps"):
        np.testing.assert_array_equal(table[column], log[column])
    assert len(log) == 5
    np.testing.assert_allclose(table["network_kJ_per_mol"], log["potential_kJ_per_mol"], atol=2e-6)
    charges = np.load(folder / "charges.npy")
    assert charges.shape == (5, 42) and charges.dtype == np.float32
    np.testing.assert_array_equal(charges, np.broadcast_to(np.resize(np.float32([0.1, -0.1]), 42), (5, 42)))
    frames = mdtraj.load(str(folder / "trajectory.dcd"), top=str(folder / "final.pdb"))
    dipoles = np.einsum("fn,fnk->fk", charges, frames.xyz)
    for axis, name in enumerate("xyz"):
        np.testing.assert_allclose(table[f"dipole_{name}_e_nm"], dipoles[:, axis], atol=2e-6)


def test_not_without_being_asked(md, springs, peptide, tmp_path):
    assert md(peptide, "--output", tmp_path / "run", "--steps", 5, *COMMON[:-1])[0] == 0
    assert not (tmp_path / "run/predictions.csv").exists() and not (tmp_path / "run/charges.npy").exists()
    status, _, err = md("--resume", "--output", tmp_path / "run", "--predictions")
    assert status == 2 and "--predictions: False in the run, True now" in err


def test_continued_run(md, springs, peptide, tmp_path):
    """What came after the checkpoint, half a line and half a row included, is cut off."""
    assert md(peptide, "--output", tmp_path / "a", "--steps", 15, *COMMON)[0] == 0
    for name in ("predictions.csv", "charges.npy"):
        with open(tmp_path / "a" / name, "ab") as file:
            file.write(b"20,0.01,1.5")
    assert md("--resume", "--output", tmp_path / "a", "--steps", 30)[0] == 0
    assert md(peptide, "--output", tmp_path / "b", "--steps", 30, *COMMON)[0] == 0
    for name in ("predictions.csv", "charges.npy"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert len(np.load(tmp_path / "a/charges.npy")) == 7
    # Another run in the same folder takes them away.
    assert md(peptide, "--output", tmp_path / "a", "--steps", 5, "--overwrite", *COMMON[:-1])[0] == 0
    assert not (tmp_path / "a/predictions.csv").exists() and not (tmp_path / "a/charges.npy").exists()


def test_charges_can_be_read_while_they_grow(tmp_path, monkeypatch):
    path = tmp_path / "charges.npy"
    file = ChargeFile(path, 2)
    assert np.load(path).shape == (0, 2)
    for frame in range(12):
        file.append(prediction([frame, -frame]))
        np.testing.assert_array_equal(np.load(path, mmap_mode="r")[-1], [frame, -frame])
    with open(path, "ab") as torn:
        torn.write(bytes(5))
    assert np.load(path).shape == (12, 2)
    file = ChargeFile(path, 2, ChargeFile.size_of(2, 11))
    assert np.load(path).shape == (11, 2)

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full_disk)
    with pytest.raises(OutputError, match=r"cannot write .*charges.npy: No space left on device"):
        file.append(prediction([1, 2]))
    monkeypatch.undo()
    assert np.load(path).shape == (11, 2)
    assert path.stat().st_size == file.size == ChargeFile.size_of(2, 11)


def test_files_are_closed_with_their_owner(tmp_path):
    def open_files():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    for k in range(5):
        AppendFile(tmp_path / str(k)).append(b"text")
    assert open_files() == before
