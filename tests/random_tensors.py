"""Random numbers in the shape of a model file's tensors; NumPy only."""

import numpy as np

from openmm_so3krates.hyperparameters import Hyperparameters
from openmm_so3krates.model_file import expected_tensors

SMALL = {
    "num_features": 12,
    "num_layers": 2,
    "num_heads": 2,
    "degrees": (0, 1, 3),
    "num_radial_basis": 5,
    "energy_hidden": 7,
    "residual_mlp_2": True,
    "use_charge_embedding": True,
    "use_spin_embedding": True,
    "partial_charges": True,
    "hirshfeld_ratios": True,
    "zbl": True,
    "electrostatics": True,
    "dispersion": True,
    "elements": (1, 6, 8),
}


def small_hyperparameters(**changes) -> Hyperparameters:
    return Hyperparameters(**{**SMALL, **changes})


def random_tensors(hyperparameters: Hyperparameters, rows: int = 9, dtype=np.float32) -> dict[str, np.ndarray]:
    """All numbers different and between 0.1 and 1, so that every check on values passes."""
    rng = np.random.default_rng(7)
    return {
        name: rng.uniform(0.1, 1.0, [rows if size is None else size for size in shape]).astype(dtype)
        for name, shape in expected_tensors(hyperparameters).items()
    }
