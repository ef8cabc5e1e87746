"""A small model beside SO3LR, for forces made of two."""

from pathlib import Path

import pytest
from random_tensors import random_tensors

from openmm_so3krates.hyperparameters import Hyperparameters
from openmm_so3krates.model_file import write_model_file


@pytest.fixture(scope="session")
def other_model(tmp_path_factory) -> Path:
    """Random numbers; elements H, C, N, O."""
    hyper = Hyperparameters(
        num_features=16,
        num_layers=1,
        num_heads=2,
        degrees=(1, 2),
        cutoff=4.0,
        num_radial_basis=8,
        avg_num_neighbors=8.0,
        energy_hidden=8,
        lr_cutoff=12.0,
        elements=(1, 6, 7, 8),
    )
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    write_model_file(path, hyper, random_tensors(hyper), {"source": "random numbers"})
    return path
