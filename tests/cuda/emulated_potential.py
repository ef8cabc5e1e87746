"""The emulated CUDA backend behind the user's interface: `openmm_so3krates.Potential` with another engine."""

from __future__ import annotations

import os

from openmm_so3krates import Potential


class EmulatedPotential(Potential):
    """`Potential` whose kernels are those of an emulated module (tests/cuda/conftest.py)."""

    def __init__(self, module, model_file: str | os.PathLike, lr_cutoff: float | None = 12.0, **options) -> None:
        self._engine = module.Potential(os.fspath(model_file), lr_cutoff, **options)

    @property
    def device(self):
        """The emulated device, which counts allocations, launches and downloads."""
        return self._engine.device
