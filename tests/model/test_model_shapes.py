"""The PyTorch model against the original JAX code for other hyperparameters than SO3LR's."""

import pytest
from mlff_cases import MLFF_NAMES, load_mlff_case


@pytest.mark.parametrize("name", MLFF_NAMES)
def test_double(name):
    case = load_mlff_case(name)
    result = case.model(case.atomic_numbers, case.positions, charge=case.charge, spin=case.spin)
    case.assert_same(result.energy[0], result.forces, result.hirshfeld_ratios, result.dipole[0])
