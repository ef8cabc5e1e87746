"""TorchForce needs openmm-torch, which needs another OpenMM and torch than the other tests.

`make test` runs this folder in .venv-torchforce (requirements/torchforce.txt). There torch must be imported before
OpenMM.
"""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("openmmtorch"):
    import torch  # noqa: F401

sys.path.append(str(Path(__file__).parents[1] / "openmm_force"))  # openmm_helpers
