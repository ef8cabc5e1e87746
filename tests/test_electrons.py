"""Charges and numbers of unpaired electrons that atoms can have, and one clear message for those they cannot."""

import math

import pytest

from openmm_so3krates.electrons import check_electrons

WATER = [8, 1, 1]


@pytest.mark.parametrize(("charge", "spin"), [(0, 0), (0, 2), (1, 1), (-1, 9), (10, 0), (0.5, 0), (0, 0.25)])
def test_fitting(charge, spin):
    check_electrons(WATER, charge, spin)


@pytest.mark.parametrize(
    ("charge", "spin", "message"),
    [
        (0, -2, "there cannot be -2 unpaired electrons, only a finite number of them, 0 or more"),
        (0, -1, "there cannot be -1 unpaired electrons"),
        (0, -0.5, "there cannot be -0.5 unpaired electrons"),
        (0, math.nan, "there cannot be nan unpaired electrons"),
        (0, math.inf, "there cannot be inf unpaired electrons"),
        (math.nan, 0, "the charge must be a finite number of elementary charges, not nan"),
        (-math.inf, 0, "the charge must be a finite number of elementary charges, not -inf"),
        (0, 1, "with charge 0 there are 10 electrons, of which not just 1 can be unpaired"),
        (0, 12, "with charge 0 there are 10 electrons, too few for 12 unpaired ones"),
        (11, 0, "with charge 11 there are -1 electrons, too few for 0 unpaired ones"),
        (10.5, 0, "with charge 10.5 there are -0.5 electrons, too few"),
        (0, 10.5, "with charge 0 there are 10 electrons, too few for 10.5 unpaired"),
    ],
)
def test_not_fitting(charge, spin, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        check_electrons(WATER, charge, spin)
