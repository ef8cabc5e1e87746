"""The engine as a torch operator, and as a module that TorchScript can save.

    import torch, openmm_so3krates.torch
    potential = openmm_so3krates.torch.TorchPotential("so3lr", atomic_numbers)
    energy, forces, partial_charges = potential(positions)                        # Å, eV, e

Importing this module registers the operators `torch.ops.so3krates.energy_forces` and `.evaluate`; `openmm_so3krates`
imports it by itself where torch has been imported before. Units here are Å, eV and elementary charges;
`SO3kratesForce.to_torch_force` makes a TorchForce in OpenMM's units. See docs/torch.md.
"""

import ctypes
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from . import _engine
from .cuda import nvrtc_folders
from .models import lasting_name
from .potential import Potential, _integers

PRECISIONS = ("auto", "single", "double")
_OLDEST_TORCH = (2, 9)


def _load_operators() -> None:
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _OLDEST_TORCH:
        raise ImportError(
            f"openmm_so3krates.torch needs torch {'.'.join(map(str, _OLDEST_TORCH))} or newer, not {torch.__version__}"
        )
    library = Path(_engine.__file__).with_name("libso3krates_torch.so")
    try:
        torch.ops.load_library(str(library))
    except OSError as error:
        raise ImportError(
            f"{library} cannot be used with torch {torch.__version__} ({error}); reinstall openmm_so3krates"
        ) from error
    # The library has the engine in itself, and only Python knows where its packages are.
    folders = ctypes.CDLL(str(library)).so3krates_set_nvrtc_folders
    folders.argtypes, folders.restype = [ctypes.c_char_p], None
    folders(":".join(nvrtc_folders()).encode())
    if not hasattr(torch.ops.so3krates, "energy_forces"):
        raise ImportError(f"torch {torch.__version__} did not accept the operators of {library}")


_load_operators()


def describe_model(
    model: str | os.PathLike | _engine.Model,
    lr_cutoff: float | None = 12.0,
    dispersion_switch_width: float | None = None,
    precision: str = "auto",
    threads: int | None = None,
    radial_table: bool = True,
    allow_untrained_elements: bool = False,
) -> torch.Tensor:
    """The argument `model` of the operators: a model and settings as a small uint8 tensor on the CPU.

    It holds the model's name or absolute path and its SHA-256. The model itself is loaded when the operator first
    meets the description, once per process; a file with another SHA-256 is then refused.

    Args:
        model: name of an installed model ("so3lr"), path of a model file, or a `Model`.
        lr_cutoff: Å; this and the following as for `openmm_so3krates.Potential`.
        dispersion_switch_width: Å.
        precision: "single", "double", or "auto": that of the positions given.
        threads: number of threads; None: one per processor that the process may use.
        radial_table: splines in place of the radial networks in single precision.
        allow_untrained_elements: compute elements the model was not trained on.

    Raises:
        ModelError: the model cannot be loaded.
        ValueError: a setting is out of range.
    """
    if not isinstance(model, _engine.Model):
        model = _engine.Model.load(os.fspath(model))
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    # Refuses settings that cannot be used here and not in the middle of a simulation.
    Potential(
        model,
        precision="double",
        lr_cutoff=lr_cutoff,
        dispersion_switch_width=dispersion_switch_width,
        threads=threads,
        allow_untrained_elements=allow_untrained_elements,
        radial_table=radial_table,
    )
    text = json.dumps(
        {
            "model": lasting_name(model.name),
            "sha256": model.sha256,
            "precision": precision,
            "lr_cutoff": None if lr_cutoff is None else float(lr_cutoff),
            "dispersion_switch_width": None if dispersion_switch_width is None else float(dispersion_switch_width),
            "threads": int(threads or 0),
            "radial_table": bool(radial_table),
            "allow_untrained_elements": bool(allow_untrained_elements),
        }
    )
    return _bytes(text.encode())


class TorchPotential(torch.nn.Module):
    """A frozen SO3krates model for one set of atoms; `torch.jit.script` and `torch.compile` take it.

    A scripted module saved to a file holds the model's name or path and SHA-256 (with `embed_model` the whole file),
    so it can be loaded in any process that has imported `openmm_so3krates.torch`. It has no parameters: this is a
    trained model to compute with; train `openmm_so3krates.model.SO3krates`.

    Args:
        model: name of an installed model ("so3lr"), path of a model file, or a `Model`.
        atomic_numbers: (N,) integers.
        charge: total charge in e.
        spin: number of unpaired electrons.
        embed_model: keep the model file's bytes in the module, so that no file is needed where it is loaded.
        settings: as for `describe_model`.

    Raises:
        ModelError: the model cannot be loaded.
        ValueError: an argument cannot be used.
    """

    # Plain attributes, not buffers: they stay on the CPU when the module moves to a GPU.
    atomic_numbers: torch.Tensor
    model: torch.Tensor
    model_file: torch.Tensor | None

    def __init__(
        self,
        model: str | os.PathLike | _engine.Model,
        atomic_numbers: Iterable[int],
        charge: float = 0.0,
        spin: float = 0.0,
        embed_model: bool = False,
        **settings,
    ) -> None:
        super().__init__()
        if not isinstance(model, _engine.Model):
            model = _engine.Model.load(os.fspath(model))
        if isinstance(atomic_numbers, torch.Tensor):
            atomic_numbers = atomic_numbers.detach().cpu()
        self.atomic_numbers = torch.from_numpy(_integers(atomic_numbers, "atomic_numbers").astype(np.int64))
        self.charge = float(charge)
        self.spin = float(spin)
        self.model = describe_model(model, **settings)
        self.model_file = _bytes(model.file_bytes) if embed_model else None

    def forward(
        self, positions: torch.Tensor, cell: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Energy, forces and partial charges.

        `positions`: (N, 3) Å, float32 or float64, on the CPU or a GPU. `cell`: (3, 3) Å, rows are box vectors; None: no
        periodicity. Returns the energy () eV, always float64; the forces (N, 3) eV/Å and partial charges (N,) e in
        the positions' type, all where the positions are. The energy can be differentiated once by positions and cell.
        On a GPU it may be recorded in a CUDA graph directly after such a call; where a replay fails, all results are
        NaN, from then on (docs/torch.md).

        Raises `ValueError` as `Potential.compute` does, `RuntimeError` if the model or the GPU cannot be used.
        """
        wants_virial = cell is not None and cell.requires_grad
        energy, forces, partial_charges, _virial = torch.ops.so3krates.energy_forces(
            positions,
            self.atomic_numbers,
            cell,
            self.charge,
            self.spin,
            self.model,
            self.model_file,
            wants_virial,
        )
        return energy, forces, partial_charges


def _bytes(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


# --- what torch needs to know of the operators ----------------------------------------------------------------------


def _shapes(positions, atomic_numbers, cell, charge, spin, model, model_file, virial):
    """Results without values, for torch.compile and the meta device."""
    num_atoms = positions.shape[0]
    return (
        positions.new_empty((), dtype=torch.float64),
        positions.new_empty((num_atoms, 3)),
        positions.new_empty((num_atoms,)),
        positions.new_empty((3 if virial else 0, 3)),
    )


for _name in ("energy_forces", "evaluate"):
    torch.library.register_fake(f"so3krates::{_name}", _shapes)


def _keep_for_backward(ctx, inputs, output) -> None:
    positions, _, cell, *_ = inputs
    _, forces, _, virial = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(positions, cell, forces, virial)


@torch.library.custom_op("so3krates::refuse_gradient", mutates_args=())
def _refuse_gradient(gradient: torch.Tensor, name: str) -> torch.Tensor:
    """0, unless somebody asks for what cannot be given.

    An operator and not a test in `_backward`: torch.compile traces the gradients of all results, needed or not, and
    gives zeros for those that are not.
    """
    if gradient.count_nonzero() > 0:
        raise RuntimeError(
            f"so3krates::energy_forces gives first derivatives of the energy only: its {name} cannot be "
            "differentiated. Use the PyTorch model, openmm_so3krates.model.SO3krates"
        )
    return gradient.new_zeros((), dtype=torch.float64)


@_refuse_gradient.register_fake
def _(gradient, name):
    return gradient.new_empty((), dtype=torch.float64)


def _backward(ctx, energy_gradient, forces_gradient, charges_gradient, virial_gradient):
    zero = 0.0
    gradients = {"forces": forces_gradient, "partial charges": charges_gradient, "virial": virial_gradient}
    for name, gradient in gradients.items():
        if gradient is not None:
            zero = zero + _refuse_gradient(gradient, name)
    if energy_gradient is None:
        energy_gradient = 0.0
    energy_gradient = energy_gradient + zero
    positions, cell, forces, virial = ctx.saved_tensors
    by_positions = by_cell = None
    if ctx.needs_input_grad[0]:
        by_positions = (-energy_gradient * forces).to(positions.dtype)
    if ctx.needs_input_grad[2]:
        if len(virial) == 0:
            raise RuntimeError("the gradient by the cell needs the virial: call the operator with virial=True")
        # A strain moves atoms and box vectors alike: -virial = cellᵀ (dE/dcell) - positionsᵀ forces.
        moment = positions.double().T @ forces.double() - virial.double()
        by_cell = (energy_gradient * torch.linalg.solve(cell.double().T, moment)).to(cell.dtype)
    return by_positions, None, by_cell, None, None, None, None, None


torch.library.register_autograd("so3krates::energy_forces", _backward, setup_context=_keep_for_backward)
