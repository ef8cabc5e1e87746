"""Numbers with units as people type them: "1ps", "0.5 fs", "12A", "300 K"."""

from __future__ import annotations

import math
import re

from openmm_so3krates.md.errors import SettingsError

# unit as typed: factor to the unit this package computes in
TIME = {"fs": 1e-3, "ps": 1.0, "ns": 1e3, "us": 1e6, "µs": 1e6}  # ps
LENGTH = {"nm": 1.0, "A": 0.1, "Å": 0.1, "angstrom": 0.1}  # nm
TEMPERATURE = {"K": 1.0}  # K
PRESSURE = {"bar": 1.0, "atm": 1.01325, "Pa": 1e-5, "kPa": 1e-2, "MPa": 10.0}  # bar
RATE = {"/ps": 1.0, "1/ps": 1.0, "ps^-1": 1.0, "/fs": 1e3, "1/fs": 1e3, "/ns": 1e-3, "1/ns": 1e-3}  # 1/ps
FORCE = {"kJ/mol/nm": 1.0, "kJ/mol/A": 10.0, "eV/A": 964.853321233100184, "eV/Å": 964.853321233100184}  # kJ/mol/nm

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*")


def parse_quantity(text: str, units: dict[str, float], default_unit: str | None = None) -> float:
    """The value of `text` in the unit of `units` whose factor is 1.

    `default_unit` is meant where the text has no unit; without one, a unit must be given.
    Raises `SettingsError` if it is not a number, the unit is unknown or missing, or the value is not finite.
    """
    match = _NUMBER.fullmatch(text)
    known = ", ".join(units)
    example = f"1{next(iter(units))}"
    if not match:
        raise SettingsError(f"{text!r} is not a number with a unit, such as {example} (units: {known})")
    number, unit = float(match[1]), match[2] or default_unit
    if unit is None:
        raise SettingsError(f"{text!r} has no unit; write for example {match[1]}{next(iter(units))} (units: {known})")
    if unit not in units:
        raise SettingsError(f"{text!r}: {unit!r} is not a unit known here; use one of {known}")
    value = number * units[unit]
    if not math.isfinite(value):
        raise SettingsError(f"{text!r} is not a finite number")
    return value


def format_time(picoseconds: float) -> str:
    """A time in the unit that reads best, for example "0.5 fs", "20 ps", "1.5 ns"."""
    for unit in ("ns", "ps"):
        if picoseconds >= TIME[unit]:
            return f"{picoseconds / TIME[unit]:.6g} {unit}"
    return f"{picoseconds / TIME['fs']:.6g} fs"
