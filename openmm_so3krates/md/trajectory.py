"""Trajectory writers whose files stay valid whatever interrupts the run."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import mdtraj
import numpy as np
from openmm.app.internal.xtc_utils import xtc_write_frame

from openmm_so3krates.md.append_file import AppendFile, cut_back
from openmm_so3krates.md.errors import OutputError, WriteError

_AKMA_TIME = 0.04888821  # ps, the unit of time in DCD headers


class DCDWriter:
    """CHARMM/NAMD DCD as OpenMM, mdtraj and VMD read it: single precision, Å.

    A frame is appended first and then counted in the header, so a file cut short by a kill only has a frame that is
    not counted. `size` continues an existing file after that many bytes.
    """

    def __init__(self, path: Path, num_atoms: int, timestep: float, interval: int, periodic: bool, size: int | None):
        self._periodic = periodic
        self._interval = interval
        self._frame_bytes = _dcd_frame(num_atoms, periodic).itemsize
        self._file = AppendFile(path, size)
        if size is None:
            self._file.append(_dcd_header(num_atoms, timestep / _AKMA_TIME, interval, periodic))
        self._header_bytes = len(_dcd_header(num_atoms, 0.0, interval, periodic))
        self._count_frames()

    @property
    def size(self) -> int:
        return self._file.size

    def append(self, positions: np.ndarray, box: np.ndarray | None, step: int, time: float) -> None:
        """One frame: `positions` (N, 3) and `box` (3, 3) in nm."""
        frame = np.zeros((), _dcd_frame(len(positions), self._periodic))
        if self._periodic:
            frame["cell_begin"] = frame["cell_end"] = 48
            frame["cell"] = _dcd_cell(box)
        for axis, name in enumerate("xyz"):
            frame[f"{name}_begin"] = frame[f"{name}_end"] = 4 * len(positions)
            frame[name] = 10 * positions[:, axis]
        self._file.append(frame.tobytes())
        self._count_frames()

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()

    def _count_frames(self) -> None:
        frames = (self._file.size - self._header_bytes) // self._frame_bytes
        self._file.overwrite(struct.pack("<i", frames), 8)
        self._file.overwrite(struct.pack("<i", min(max(frames - 1, 0) * self._interval, 2**31 - 1)), 20)


class XTCWriter:
    """GROMACS XTC: compressed, positions rounded to 0.001 nm. Written by OpenMM's own code."""

    def __init__(self, path: Path, num_atoms: int, timestep: float, interval: int, periodic: bool, size: int | None):
        self._path = path
        self._num_atoms = num_atoms
        if size is None:
            AppendFile(path).close()  # the reason, if it cannot be written
        self.size = cut_back(path, size or 0)

    def append(self, positions: np.ndarray, box: np.ndarray | None, step: int, time: float) -> None:
        """One frame: `positions` (N, 3) and `box` (3, 3) in nm."""
        vectors = np.zeros((3, 3), np.float32) if box is None else box.astype(np.float32)
        problem = None
        try:
            name = os.fsencode(self._path)
            xtc_write_frame(
                name, positions.astype(np.float32), vectors, np.float32(time), np.int32(min(step, 2**31 - 1))
            )
        except Exception as error:  # whatever the compiled writer reports
            problem = error
        # It does not report a full disk: look at what arrived.
        arrived = self._path.stat().st_size
        if problem is not None or arrived != self.size + self._frame_size():
            cut_back(self._path, self.size)
            raise _failed_write(self._path, self.size)
        self.size = arrived

    def sync(self) -> None:
        with open(self._path, "rb") as file:
            os.fsync(file.fileno())

    def close(self) -> None:
        pass

    def _frame_size(self) -> int:
        """Bytes that the frame at the end of the file should have, by its own header; -1 if there is no header."""
        if self._num_atoms <= 9:  # not compressed
            return 56 + 12 * self._num_atoms
        with open(self._path, "rb") as file:
            file.seek(self.size + 88)
            length = file.read(4)
        return 92 + (struct.unpack(">i", length)[0] + 3) // 4 * 4 if len(length) == 4 else -1


def open_trajectory(
    path: Path, num_atoms: int, timestep: float, interval: int, periodic: bool, size: int | None
) -> DCDWriter | XTCWriter:
    """The writer for the path's suffix; `size` None begins a new file, else the file is cut back to it and continued.

    `timestep` ps, `interval` steps between frames. Raises `OutputError`.
    """
    writer = {".dcd": DCDWriter, ".xtc": XTCWriter}[path.suffix]
    return writer(path, num_atoms, timestep, interval, periodic, size)


def read_positions(path: Path, topology: mdtraj.Topology, chunk: int = 1000) -> Iterator[np.ndarray]:
    """Positions (frames, N, 3) in nm, float32, at most `chunk` frames at a time, of a file written here.

    Raises `OutputError` if it cannot be read.
    """
    try:
        if path.suffix == ".xtc":
            yield from (frames.xyz for frames in mdtraj.iterload(str(path), top=topology, chunk=chunk))
            return
        # mdtraj reads DCD as well, but its reader writes to standard output.
        header = _first_bytes(path, 52)
        periodic = struct.unpack_from("<i", header, 48)[0] == 1
        offset = len(_dcd_header(topology.n_atoms, 0.0, 1, periodic))
        dtype = _dcd_frame(topology.n_atoms, periodic)
        if path.stat().st_size < offset + dtype.itemsize:
            return
        frames = np.memmap(path, dtype, mode="r", offset=offset)
        for first in range(0, len(frames), chunk):
            part = frames[first : first + chunk]
            yield np.stack([part["x"], part["y"], part["z"]], axis=-1) / np.float32(10)
    except (OSError, ValueError, RuntimeError, struct.error) as error:
        raise OutputError(f"cannot read the trajectory {path}: {error}") from None


def _first_bytes(path: Path, count: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(count)


def _dcd_frame(num_atoms: int, periodic: bool) -> np.dtype:
    """A frame: Fortran records (length, data, length) of the cell and of x, y and z in Å."""
    fields = [("cell_begin", "<i4"), ("cell", "<f8", 6), ("cell_end", "<i4")] if periodic else []
    for name in "xyz":
        fields += [(f"{name}_begin", "<i4"), (name, "<f4", num_atoms), (f"{name}_end", "<i4")]
    return np.dtype(fields)


def _dcd_header(num_atoms: int, timestep: float, interval: int, periodic: bool) -> bytes:
    """Frame count and last step (bytes 8 and 20) are 0."""
    title = b"Created by openmm-so3krates".ljust(80)
    return (
        struct.pack("<i4s9if", 84, b"CORD", 0, 0, interval, 0, 0, 0, 0, 0, 0, timestep)
        + struct.pack("<10ii", int(periodic), 0, 0, 0, 0, 0, 0, 0, 0, 24, 84)
        + struct.pack("<ii80si", 84, 1, title, 84)
        + struct.pack("<iii", 4, num_atoms, 4)
    )


def _dcd_cell(box: np.ndarray) -> tuple[float, ...]:
    """a, cos gamma, b, cos beta, cos alpha, c with lengths in Å."""
    a, b, c = lengths = 10 * np.linalg.norm(box, axis=1)
    unit_vectors = 10 * box / lengths[:, None]
    cosines = unit_vectors @ unit_vectors.T
    return a, cosines[0, 1], b, cosines[0, 2], cosines[1, 2], c


def _failed_write(path: Path, size: int) -> OutputError:
    """Why writing failed, found by writing again without the compiled code in between; leaves the file as it was."""
    file = AppendFile(path, size)
    try:
        file.append(bytes(1 << 16))
        file.sync()
    except WriteError as error:
        return error
    finally:
        file.close()
        cut_back(path, size)
    return WriteError(f"cannot write {path}: a frame did not arrive in full")
