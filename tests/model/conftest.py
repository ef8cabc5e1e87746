"""SO3LR as a PyTorch model; `so3lr`, the installed model file, comes from the tests' main conftest."""

import pytest
import torch

from openmm_so3krates.model import SO3krates

torch.set_num_threads(1)  # tensors here are small: more threads only wait for each other


@pytest.fixture(scope="session")
def so3lr_double(so3lr):
    model = SO3krates.load(so3lr, dtype=torch.float64)
    model.allow_untrained_elements = True  # some cases contain sodium
    return model


@pytest.fixture(scope="session")
def so3lr_single(so3lr):
    model = SO3krates.load(so3lr, dtype=torch.float32)
    model.allow_untrained_elements = True
    return model
