"""Forces of each part of the energy by itself against the original JAX code.

The engine only tells the sum. Parts are differences between models: SO3LR with some of its terms left out.
"""

import dataclasses

import numpy as np
import pytest
from cases import LARGE_NAMES, NAMES, PARTS, load_case

from openmm_so3krates import Potential
from openmm_so3krates.model_file import expected_tensors, read_model_file, write_model_file

# What makes each part, heads included. The network alone has none of it.
TERMS = {
    "network": {},
    "zbl": {"zbl": True},
    "electrostatics": {"partial_charges": True, "electrostatics": True},
    "dispersion": {"hirshfeld_ratios": True, "dispersion": True},
}
NOTHING = {name: False for term in TERMS.values() for name in term}


@pytest.fixture(scope="module")
def models(so3lr, tmp_path_factory):
    """Model files of the network alone and of the network with one more term each."""
    folder = tmp_path_factory.mktemp("parts")
    full, tensors, _ = read_model_file(so3lr)
    for part, term in TERMS.items():
        hyperparameters = dataclasses.replace(full, **(NOTHING | term))
        kept = {name: tensors[name] for name in expected_tensors(hyperparameters)}
        write_model_file(folder / f"{part}.safetensors", hyperparameters, kept, {"source": "parts of SO3LR"})
    return {part: folder / f"{part}.safetensors" for part in PARTS}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LARGE_NAMES])
def test_forces_of_each_part(models, name):
    case = load_case(name)
    results = {
        part: Potential(
            path,
            precision="double",
            lr_cutoff=case.lr_cutoff,
            dispersion_switch_width=case.dispersion_switch_width,
            threads=1,
            allow_untrained_elements=True,  # some cases contain sodium
        ).compute(case.atomic_numbers, case.positions, **case.system)
        for part, path in models.items()
    }
    assert set(case.double.force_parts) == set(PARTS)
    for part, result in results.items():
        others = 0 if part == "network" else results["network"].forces
        expected = case.double.force_parts[part]
        # Where atoms almost coincide (0.3 Å) forces are hundreds of eV/Å, of the part or of what is taken off again.
        size = max(1.0, np.abs(result.forces).max())
        assert np.abs(result.forces - others - expected).max() < 1e-8 * size, part
        assert abs(result.energy_parts[part] - case.double.energy_parts[part]) < 1e-8 * case.num_atoms, part
        assert all(result.energy_parts[other] == 0 for other in PARTS if other not in ("network", part))
