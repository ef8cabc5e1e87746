import pytest

from openmm_so3krates.md import quantities as q
from openmm_so3krates.md.errors import SettingsError


@pytest.mark.parametrize(
    "text, units, default, expected",
    [
        ("1ps", q.TIME, None, 1.0),
        ("500fs", q.TIME, None, 0.5),
        ("0.1ns", q.TIME, None, 100.0),
        ("2 us", q.TIME, None, 2e6),
        (" 1e-3 ns ", q.TIME, None, 1.0),
        ("0.5", q.TIME, "fs", 5e-4),
        (".25fs", q.TIME, "fs", 2.5e-4),
        ("12A", q.LENGTH, None, 1.2),
        ("12Å", q.LENGTH, None, 1.2),
        ("1.2nm", q.LENGTH, None, 1.2),
        ("300", q.TEMPERATURE, "K", 300.0),
        ("-5K", q.TEMPERATURE, "K", -5.0),
        ("1atm", q.PRESSURE, "bar", 1.01325),
        ("0.1MPa", q.PRESSURE, "bar", 1.0),
        ("2/ps", q.RATE, "/ps", 2.0),
        ("0.001 1/fs", q.RATE, "/ps", 1.0),
        ("0.01eV/A", q.FORCE, None, 9.64853321),
    ],
)
def test_values(text, units, default, expected):
    assert q.parse_quantity(text, units, default) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "text, units, reason",
    [
        ("1", q.TIME, "has no unit"),
        ("", q.TIME, "is not a number"),
        ("ps", q.TIME, "is not a number"),
        ("one ps", q.TIME, "is not a number"),
        ("nan ps", q.TIME, "is not a number"),
        ("inf ps", q.TIME, "is not a number"),
        ("1e999ps", q.TIME, "not a finite number"),
        ("1s", q.TIME, "not a unit known here; use one of fs, ps"),
        ("1PS", q.TIME, "not a unit"),
        ("1 ps ns", q.TIME, "is not a number"),
        ("1,5ps", q.TIME, "not a unit"),
        ("12ps", q.LENGTH, "not a unit"),
        ("300C", q.TEMPERATURE, "not a unit"),
    ],
)
def test_refused(text, units, reason):
    with pytest.raises(SettingsError, match=reason):
        q.parse_quantity(text, units)


@pytest.mark.parametrize("time, text", [(5e-4, "0.5 fs"), (1.0, "1 ps"), (1500.0, "1.5 ns"), (0.25, "250 fs")])
def test_format(time, text):
    assert q.format_time(time) == text
    assert q.parse_quantity(text, q.TIME) == pytest.approx(time)
