"""Models for the engine: SO3LR, and random ones written to model files."""

from collections.abc import Callable

import pytest
from random_models import EMBEDDINGS, PHYSICS, hyperparameters, random_model

from openmm_so3krates import Potential
from openmm_so3krates.model import SO3krates


@pytest.fixture(scope="session")
def engine_of(tmp_path_factory) -> Callable[..., Potential]:
    """Makes the engine's potential of a PyTorch model, with the model's own long-range cutoff unless told otherwise."""
    folder = tmp_path_factory.mktemp("models")
    count = iter(range(10**6))

    def make(model: SO3krates, **options) -> Potential:
        path = folder / f"{next(count)}.safetensors"
        model.save(path, provenance={"source": "random numbers"})
        return Potential(path, **{"precision": "double", "lr_cutoff": model.lr_cutoff, "threads": 1, **options})

    return make


@pytest.fixture(scope="session")
def random_potential(engine_of) -> Potential:
    """Double precision, with every physical term and embedding; elements H, C, N, O; cutoffs 3.5 and 6 Å."""
    return engine_of(random_model(hyperparameters(**PHYSICS, **EMBEDDINGS)))
