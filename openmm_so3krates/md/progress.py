"""How far a run is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from tqdm import tqdm

from openmm_so3krates.md.quantities import format_time

SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """`total` and `start` in steps, `timestep` in ps."""

    def __init__(self, name: str, total: int, start: int, timestep: float, stream: TextIO | None = None):
        self._name, self._total, self._timestep = name, total, timestep
        self._stream = stream or sys.stderr
        self._first = self._step = start
        self._began = self._last_line = time.monotonic()
        self._bar = None
        if self._stream.isatty():
            self._bar = tqdm(
                total=total,
                initial=start,
                file=self._stream,
                desc=name,
                ncols=min(shutil.get_terminal_size((100, 24)).columns, 120),
                nrows=24,  # of its own accord tqdm shows nothing where a terminal reports no size
                bar_format="{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
            )

    @property
    def speed(self) -> float:
        """ns/day since the start of this session; nan before the first step."""
        seconds = time.monotonic() - self._began
        steps = self._step - self._first
        return steps * self._timestep * 1e-3 * 86400 / seconds if steps > 0 and seconds > 0 else float("nan")

    def update(self, step: int, temperature: float | None = None) -> None:
        """`temperature` in K, None if it has not been computed at this step."""
        steps, self._step = step - self._step, step
        if self._bar is not None:
            if temperature is not None:
                self._bar.set_postfix_str(f"{temperature:.0f} K, {self.speed:.3g} ns/day", refresh=False)
            self._bar.update(steps)
        elif temperature is not None and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._stream.write(
                f"{self._name}: step {step} of {self._total} ({format_time(step * self._timestep)}), "
                f"{temperature:.0f} K, {self.speed:.3g} ns/day\n"
            )
            self._stream.flush()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
