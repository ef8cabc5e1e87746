"""A small random model with every term of the energy, written to a file."""

from pathlib import Path

import pytest
from operator_helpers import write_model


@pytest.fixture(scope="session")
def model_path(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "random.safetensors")
