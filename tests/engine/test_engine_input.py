"""Bad input: one clear error each, and the engine is usable afterwards."""

import os

import numpy as np
import pytest

from openmm_so3krates import Potential
from openmm_so3krates.hyperparameters import ModelError

NUMBERS = [8, 1, 1]
POSITIONS = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]


def moved(position):
    return [*POSITIONS[:2], position]


BAD = {
    "element beyond the table": ({"atomic_numbers": [8, 1, 9]}, r"atom 2\b.*\b9\b.*\b1, 6, 7, 8"),
    "element not trained": ({"atomic_numbers": [3, 1, 1]}, r"atom 0\b.*\b3\b.*\b1, 6, 7, 8"),
    "element zero": ({"atomic_numbers": [8, 0, 1]}, r"atom 1\b.*\b0\b"),
    "negative element": ({"atomic_numbers": [8, -1, 1]}, r"atom 1\b.*-1\b"),
    "huge element": ({"atomic_numbers": [8, 1, 2**31 - 1]}, r"atom 2\b"),
    "elements beyond int": ({"atomic_numbers": [8, 1, 2**40]}, "atomic_numbers"),
    "fractional elements": ({"atomic_numbers": [8, 1, 1.5]}, "atomic_numbers"),
    "symbols": ({"atomic_numbers": ["O", "H", "H"]}, "atomic_numbers"),
    "no atoms": ({"atomic_numbers": [], "positions": np.zeros((0, 3))}, "atoms"),
    "too few positions": ({"positions": POSITIONS[:2]}, r"\b3\b.*\b2\b"),
    "positions in a row": ({"positions": np.ravel(POSITIONS)}, r"positions.*\(N, 3\)"),
    "positions in two dimensions": ({"positions": np.zeros((3, 2))}, r"positions.*\(N, 3\)"),
    "ragged positions": ({"positions": [[0, 0, 0], [1, 0], [2, 0, 0]]}, "positions"),
    "nan": ({"positions": moved([0.0, np.nan, 0.0])}, r"atom 2\b.*finite"),
    "infinity": ({"positions": moved([np.inf, 0.0, 0.0])}, r"atom 2\b.*finite"),
    "overflowing position": ({"positions": moved([1e300, 0.0, 0.0])}, r"atom 2\b.*finite"),
    "coincident": ({"positions": moved([0.96, 0.0, 0.0])}, r"atoms 1 and 2\b"),
    "almost coincident": ({"positions": moved([0.96, 1e-6, 0.0])}, r"atoms 1 and 2\b"),
    "coincident images": (
        {"positions": moved([20.0, -30.0, 10.0]), "cell": 10 * np.eye(3)},
        r"atoms 0 and 2\b",
    ),
    "flat box": ({"cell": np.ones((3, 3))}, "box"),
    "box with a zero edge": ({"cell": np.diag([10.0, 10.0, 0.0])}, "box"),
    "very thin box": ({"cell": np.diag([10.0, 10.0, 1e-3])}, "box"),
    "nan in the box": ({"cell": np.diag([10.0, 10.0, np.nan])}, "box"),
    "box lengths": ({"cell": [10.0, 10.0, 10.0]}, r"cell.*\(3, 3\)"),
    "charge nan": ({"charge": float("nan")}, "charge"),
    "charge infinite": ({"charge": float("inf")}, "charge"),
    "charge text": ({"charge": "one"}, "charge"),
    "complex charge": ({"charge": np.complex128(1)}, "charge must be a number"),
    "masked charge": ({"charge": np.ma.masked}, "charge must be a number"),
    "complex positions": ({"positions": np.array(POSITIONS, complex)}, "positions .*complex"),
    "complex numbers in a list": ({"positions": moved([1j, 0.0, 0.0])}, "positions .*complex"),
    "masked positions": ({"positions": np.ma.masked_greater(POSITIONS, 0.9)}, "positions is a masked array"),
    "masked elements": ({"atomic_numbers": np.ma.masked_equal(NUMBERS, 8)}, "atomic_numbers is a masked array"),
    "complex box": ({"cell": 10j * np.eye(3)}, "cell .*complex"),
    "charge none": ({"charge": None}, "charge"),
    "charges": ({"charge": [0.0, 1.0]}, "charge"),
    "spin nan": ({"spin": float("nan")}, "spin"),
    "spin negative": ({"spin": -1.0}, "spin"),
}


@pytest.mark.parametrize("name", BAD)
def test_compute(random_potential, name):
    change, message = BAD[name]
    before = random_potential.compute(NUMBERS, POSITIONS)
    with pytest.raises(ValueError, match=message):
        random_potential.compute(**{"atomic_numbers": NUMBERS, "positions": POSITIONS, **change})
    assert np.array_equal(random_potential.compute(NUMBERS, POSITIONS).forces, before.forces)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"offsets": [0, 3, 5]}, "offsets"),
        ({"offsets": [1, 3, 6]}, "offsets"),
        ({"offsets": [0, 4, 3, 6]}, "offsets"),
        ({"offsets": [0, 3, 3, 6]}, "offsets"),
        ({"offsets": [0, 2**31, 6]}, "offsets"),
        ({"offsets": [0, 2.5, 6]}, "offsets"),
        ({"offsets": [0]}, "offsets"),
        ({"offsets": []}, "offsets"),
        ({"cells": np.zeros((3, 3))}, "cells"),
        ({"cells": np.ones((2, 3, 3))}, "box"),
        ({"charges": [0.0]}, "charges"),
        ({"charges": [0.0, np.nan]}, "charge"),
        ({"spins": [0.0, 1.0, 2.0]}, "spins"),
        ({"spins": [0.0, np.inf]}, "spin"),
        ({"atomic_numbers": [8, 1, 1, 8, 1, 99]}, r"atom 5\b"),
    ],
)
def test_compute_batch(random_potential, change, message):
    good = {"atomic_numbers": NUMBERS * 2, "positions": POSITIONS * 2, "offsets": [0, 3, 6]}
    assert len(random_potential.compute_batch(**good).energies) == 2
    with pytest.raises(ValueError, match=message):
        random_potential.compute_batch(**{**good, **change})


def test_box_without_long_range_cutoff(so3lr):
    potential = Potential(so3lr, lr_cutoff=None)
    potential.compute(NUMBERS, POSITIONS)
    with pytest.raises(ValueError, match="lr_cutoff"):
        potential.compute(NUMBERS, POSITIONS, cell=20 * np.eye(3))


def test_a_cutoff_far_larger_than_the_box(so3lr):
    potential = Potential(so3lr, lr_cutoff=1000.0)
    potential.compute(NUMBERS, POSITIONS)
    with pytest.raises(ValueError, match=r"lr_cutoff.*images of the box"):
        potential.compute(NUMBERS, POSITIONS, cell=10 * np.eye(3))


def test_a_long_range_cutoff_out_of_range(so3lr):
    for bad in (1001.0, 1e30, 0.0, -1.0):
        with pytest.raises(ValueError, match="lr_cutoff"):
            Potential(so3lr, lr_cutoff=bad)


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("state", [{"charge": 1e300}, {"spin": 1e300}, {"charge": -1e300, "spin": 1e300}])
def test_results_that_are_not_finite(so3lr, precision, state):
    """Absurd settings give absurd finite numbers or one clear error, never NaN."""
    potential = Potential(so3lr, precision=precision)
    before = potential.compute(NUMBERS, POSITIONS)
    with pytest.raises(ValueError, match="positions, the charge or the spin are far outside what the model describes"):
        potential.compute(NUMBERS, POSITIONS, **state)
    assert np.array_equal(potential.compute(NUMBERS, POSITIONS).forces, before.forces)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"lr_cutoff": 0.0}, "lr_cutoff"),
        ({"lr_cutoff": -1.0}, "lr_cutoff"),
        ({"lr_cutoff": float("nan")}, "lr_cutoff"),
        ({"lr_cutoff": "twelve"}, "lr_cutoff"),
        ({"dispersion_switch_width": 0.0}, "dispersion_switch_width"),
        ({"dispersion_switch_width": float("nan")}, "dispersion_switch_width"),
        ({"precision": "half"}, "precision.*single.*double"),
        ({"device": "abacus"}, "device.*cpu"),
        ({"threads": 0}, "threads"),
        ({"threads": -2}, "threads"),
        ({"threads": 4097}, "threads must be a whole number from 1 to 4096, or None, not 4097"),
        ({"threads": 2**70}, "threads must be a whole number"),
        ({"threads": 1.5}, "threads must be a whole number"),
        ({"threads": 2.0}, "threads must be a whole number"),
        ({"threads": "2"}, "threads must be a whole number"),
        ({"threads": True}, "threads must be a whole number"),
        ({"precision": None}, "precision.*single.*double"),
        ({"precision": ["single"]}, "precision.*single.*double"),
        ({"precision": np.float32}, "precision.*single.*double"),
        ({"lr_cutoff": 12 + 0j}, "lr_cutoff must be a number"),
    ],
)
def test_options(so3lr, options, message):
    with pytest.raises(ValueError, match=message):
        Potential(so3lr, **options)


@pytest.mark.parametrize("threads", [1, np.int64(2), None])
def test_numbers_of_threads(so3lr, threads):
    assert Potential(so3lr, threads=threads).threads == (threads or len(os.sched_getaffinity(0)))


def test_model_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"missing\.safetensors"):
        Potential(tmp_path / "missing.safetensors")


def test_so3lr_names_its_elements(so3lr):
    with pytest.raises(ValueError, match="1, 6, 7, 8, 9, 15, 16, 17"):
        Potential(so3lr).compute([11], [[0.0, 0.0, 0.0]])
    assert np.isfinite(Potential(so3lr, allow_untrained_elements=True).compute([11], [[0.0, 0.0, 0.0]]).energy)
    with pytest.raises(ValueError, match=r"atomic number 119, for which model .* has no numbers"):
        Potential(so3lr, allow_untrained_elements=True).compute([119], [[0.0, 0.0, 0.0]])
