"""The engine against the original JAX code: SO3LR on every reference system, double and single precision."""

import numpy as np
import pytest
from cases import NAMES, NO_CUTOFF_NAMES, PARTS, load_case

from openmm_so3krates import Potential


def compute(so3lr, case, precision, lr_cutoff):
    potential = Potential(
        so3lr,
        precision=precision,
        lr_cutoff=lr_cutoff,
        dispersion_switch_width=case.dispersion_switch_width,
        threads=2,
        allow_untrained_elements=True,  # some cases contain sodium
    )
    return potential.compute(case.atomic_numbers, case.positions, **case.system)


def error(values, expected):
    return np.abs(np.asarray(values) - np.asarray(expected)).max()


def assert_double(result, case, expected):
    """1e-8 eV per atom for each part of the energy, 1e-8 eV/Å for forces."""
    for part in PARTS:
        assert error(result.energy_parts[part], expected.energy_parts[part]) < 1e-8 * case.num_atoms, part
    assert error(result.energy, expected.energy) < 1e-8 * case.num_atoms
    assert error(result.forces, expected.forces) < 1e-8


@pytest.mark.parametrize("name", NAMES)
def test_double(so3lr, name):
    case = load_case(name)
    result = compute(so3lr, case, "double", case.lr_cutoff)
    assert_double(result, case, case.double)
    assert error(result.partial_charges, case.double.partial_charges) < 1e-9
    assert error(result.hirshfeld_ratios, case.double.hirshfeld_ratios) < 1e-9
    assert error(result.dipole, case.double.dipole) < 1e-9 * case.num_atoms


@pytest.mark.parametrize("name", NO_CUTOFF_NAMES)
def test_double_without_long_range_cutoff(so3lr, name):
    case = load_case(name)
    assert_double(compute(so3lr, case, "double", None), case, case.no_cutoff)


@pytest.mark.parametrize("name", NAMES)
def test_single(so3lr, name):
    """Closer to float64 than the original code in float32, but where that one is exact by chance."""
    case = load_case(name)
    result = compute(so3lr, case, "single", case.lr_cutoff)
    exact, single = case.double, case.single
    assert error(result.forces, exact.forces) < 1e-5 + 1e-7 * np.abs(exact.forces).max()
    if name not in ("nacl_pair", "o2_triplet"):
        assert error(result.forces, exact.forces) <= error(single.forces, exact.forces)
    assert error(result.energy, exact.energy) <= 2 * error(single.energy, exact.energy) + 1e-6 * case.num_atoms
    for key in ("partial_charges", "hirshfeld_ratios"):
        exact_values = getattr(exact, key)
        assert error(getattr(result, key), exact_values) <= 2 * error(getattr(single, key), exact_values) + 1e-5


@pytest.mark.parametrize("name", NO_CUTOFF_NAMES)
def test_single_without_long_range_cutoff(so3lr, name):
    case = load_case(name)
    result = compute(so3lr, case, "single", None)
    assert error(result.forces, case.no_cutoff.forces) < 1e-5
    assert error(result.energy, case.no_cutoff.energy) <= 3e-6 * case.num_atoms
