"""What the tests of the operators share: systems as tensors, modules, and a small random model."""

import torch
from random_models import EMBEDDINGS, PHYSICS, hyperparameters, random_model

from openmm_so3krates.torch import TorchPotential

HYPERPARAMETERS = hyperparameters(**PHYSICS, **EMBEDDINGS)  # elements H, C, N, O; cutoffs 3.5 and 6 Å
LR_CUTOFF = 6.0


def write_model(path, seed=0):
    """A model file with every term of the energy."""
    random_model(HYPERPARAMETERS, seed).save(path, provenance={"source": "random numbers"})
    return path


def tensor(array, dtype=torch.float64):
    return None if array is None else torch.tensor(array, dtype=dtype)


def torch_potential(model, system, **settings) -> TorchPotential:
    defaults = {"lr_cutoff": LR_CUTOFF, "threads": 1, "charge": system.charge, "spin": system.spin}
    return TorchPotential(model, system.atomic_numbers, **(defaults | settings))
