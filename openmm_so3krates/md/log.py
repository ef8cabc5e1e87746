"""The CSV log of a run: one line per saved step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_so3krates.md.append_file import AppendFile
from openmm_so3krates.md.errors import OutputError

COLUMNS = (
    "step",
    "time_ps",
    "potential_kJ_per_mol",
    "kinetic_kJ_per_mol",
    "total_kJ_per_mol",
    "temperature_K",
)
BOX_COLUMNS = ("volume_nm3", "density_g_per_cm3")
SPEED_COLUMN = "speed_ns_per_day"

GRAMS_PER_CM3 = 1.66053906660e-3  # one dalton per nm³


@dataclass
class LogLine:
    """`volume` nm³ and `total_mass` dalton are used where the system is periodic; `speed` nan: not known yet."""

    step: int
    time: float  # ps
    potential_energy: float  # kJ/mol
    kinetic_energy: float  # kJ/mol
    temperature: float  # K
    volume: float | None
    total_mass: float
    speed: float  # ns/day

    def to_csv(self) -> str:
        numbers = [
            f"{self.time:.6f}",
            f"{self.potential_energy:.6f}",
            f"{self.kinetic_energy:.6f}",
            f"{self.potential_energy + self.kinetic_energy:.6f}",
            f"{self.temperature:.3f}",
        ]
        if self.volume is not None:
            numbers += [f"{self.volume:.6f}", f"{self.total_mass / self.volume * GRAMS_PER_CM3:.6f}"]
        numbers.append("" if math.isnan(self.speed) else f"{self.speed:.4g}")
        return ",".join([str(self.step), *numbers]) + "\n"


class LogFile:
    """Writes the log; `size` continues an existing one after that many bytes. Raises `OutputError`."""

    def __init__(self, path: Path, periodic: bool, size: int | None):
        self._file = AppendFile(path, size)
        if size is None:
            self._file.append((",".join([*COLUMNS, *(BOX_COLUMNS if periodic else ()), SPEED_COLUMN]) + "\n").encode())

    @property
    def size(self) -> int:
        return self._file.size

    def append(self, line: LogLine) -> None:
        self._file.append(line.to_csv().encode())

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


def read_log(path: Path) -> dict[str, np.ndarray]:
    """The columns of a log by name, each (lines,) float64. Raises `OutputError` if the file cannot be read."""
    try:
        header, *lines = path.read_text().splitlines()
        names = header.split(",")
        rows = [[float(field) if field else math.nan for field in line.split(",")] for line in lines]
        table = np.array(rows, float).reshape(len(rows), len(names))
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read the log {path}: {error}") from None
    return dict(zip(names, table.T, strict=True))
