"""SO3krates, the Euclidean transformer, as an OpenMM force.

Everything is imported when it is first used, so `import openmm_so3krates` by itself needs neither torch nor OpenMM.
OpenMM is not even imported where it is installed: once it is, torch-based OpenMM plugins can no longer be loaded
unless torch came first, and that order is the user's to choose. If OpenMM has already been imported, though,
SO3kratesForce is made known to it at once, so that a System in XML can be read:

    import openmm, openmm_so3krates                 # in this order, or
    import openmm_so3krates.force                   # which imports OpenMM itself
"""

import contextlib
import importlib
import sys

# Public name: the module that defines it.
_LAZY = {
    "BatchResult": "potential",
    "Model": "potential",
    "Potential": "potential",
    "Prediction": "force",
    "PredictionReporter": "prediction_reporter",
    "Result": "potential",
    "SO3kratesForce": "force",
}
__all__ = sorted(_LAZY)


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])


if "torch" in sys.modules:
    # The operators, so that saved modules can be loaded. A torch too old for them is told of by openmm_so3krates.torch.
    with contextlib.suppress(ImportError):
        importlib.import_module(".torch", __name__)
if "openmm" in sys.modules:
    # Beside an OpenMM it was not built for the rest of the package still works; using SO3kratesForce tells the reason.
    with contextlib.suppress(ImportError):
        importlib.import_module(".force", __name__)
