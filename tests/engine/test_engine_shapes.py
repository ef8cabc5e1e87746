"""The engine against the original JAX code for other hyperparameters than SO3LR's."""

import pytest
from mlff_cases import MLFF_NAMES, load_mlff_case


@pytest.mark.parametrize("name", MLFF_NAMES)
def test_double(engine_of, name):
    case = load_mlff_case(name)
    potential = engine_of(case.model, dispersion_switch_width=case.model.dispersion_switch_width)
    result = potential.compute(case.atomic_numbers, case.positions, charge=case.charge, spin=case.spin)
    case.assert_same(result.energy, result.forces, result.hirshfeld_ratios, result.dipole)
