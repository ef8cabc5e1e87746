"""What the model predicts along a run: dipole and energy parts as CSV, partial charges as NPY."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from openmm import unit

from openmm_so3krates.md.append_file import AppendFile

if TYPE_CHECKING:
    from openmm_so3krates.force import Prediction

PARTS = ("network", "zbl", "electrostatics", "dispersion")
COLUMNS = (
    "step",
    "time_ps",
    *(f"dipole_{axis}_e_nm" for axis in "xyz"),
    *(f"{part}_kJ_per_mol" for part in PARTS),
)
_E_NM = unit.elementary_charge * unit.nanometer


class PredictionLog:
    """Dipole (e nm) and energy parts (kJ/mol) as CSV, a line per frame.

    `size` continues an existing file after that many bytes; None begins a new one. Raises `OutputError`.
    """

    def __init__(self, path: Path, size: int | None = None):
        self._file = AppendFile(path, size)
        if not self._file.size:
            self._file.append((",".join(COLUMNS) + "\n").encode())

    @property
    def size(self) -> int:
        return self._file.size

    def append(self, step: int, time: float, prediction: Prediction) -> None:
        """`time` in ps."""
        dipole = prediction.dipole.value_in_unit(_E_NM)
        parts = [prediction.energy_parts[part].value_in_unit(unit.kilojoule_per_mole) for part in PARTS]
        numbers = [f"{time:.6f}", *(f"{value:.9g}" for value in dipole), *(f"{value:.6f}" for value in parts)]
        self._file.append((",".join([str(step), *numbers]) + "\n").encode())

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


class ChargeFile:
    """Partial charges (e) as a NumPy array (frames, N) of float32 that grows: `numpy.load(path, mmap_mode="r")`.

    A frame is appended first and then counted in the header, so a file cut short by a kill only has a frame that is
    not counted. `size` continues an existing file after that many bytes; None begins a new one. Raises `OutputError`.
    """

    _HEADER_BYTES = 128

    def __init__(self, path: Path, num_atoms: int, size: int | None = None):
        self._num_atoms = num_atoms
        self._file = AppendFile(path, size)
        if self._file.size:
            self._count_frames()
        else:
            self._file.append(self._header(0))

    @property
    def size(self) -> int:
        return self._file.size

    def append(self, prediction: Prediction) -> None:
        charges = prediction.partial_charges.value_in_unit(unit.elementary_charge)
        self._file.append(np.asarray(charges, "<f4").tobytes())
        self._count_frames()

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()

    @classmethod
    def size_of(cls, num_atoms: int, frames: int) -> int:
        """Bytes of a file with that many frames."""
        return cls._HEADER_BYTES + 4 * num_atoms * frames

    def _count_frames(self) -> None:
        frames = (self._file.size - self._HEADER_BYTES) // (4 * self._num_atoms)
        self._file.overwrite(self._header(frames), 0)

    def _header(self, frames: int) -> bytes:
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({frames}, {self._num_atoms}), }}"
        body = text.ljust(self._HEADER_BYTES - 11) + "\n"
        return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body.encode()
