"""SO3kratesForce as the forces of openmm-torch: what `to_torch_force` and `to_python_torch_force` do."""

import importlib.metadata
import warnings

import openmm
import torch
from openmm import unit

from . import _openmm
from .torch import TorchPotential


class OpenMMModule(torch.nn.Module):
    """What a TorchForce calls: a potential in OpenMM's units, for all or some particles of a System.

    Args:
        potential: the model with the region's atoms.
        particles: the region's particles in the System; empty: the whole System.
        scale: factor of energy and forces.
    """

    def __init__(self, potential: TorchPotential, particles: list[int], scale: float) -> None:
        super().__init__()
        self.potential = potential
        self.register_buffer("particles", torch.tensor(particles, dtype=torch.int64))
        self.is_whole_system = not particles
        self.angstrom_per_nm = 10.0
        self.energy_factor = scale * 1.602176634e-19 * 6.02214076e23 / 1000  # kJ/mol per eV: exact in the SI since 2019

    def forward(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Energy () kJ/mol and forces (N, 3) kJ/mol/nm of all N particles at `positions` (N, 3) nm.

        `box`: (3, 3) nm, rows are box vectors; a TorchForce gives it if it is periodic. The energy cannot be
        differentiated. Raises what `torch.ops.so3krates.evaluate` raises, as a `RuntimeError`.
        """
        positions = positions.detach()
        # On CUDA, openmm-torch hands over what OpenMM has wrapped, if any force of the System has a box. That there is
        # such a force cannot be seen from here: around a region it is likely, beside a force on everything it is not.
        if positions.is_cuda and box is None and not self.is_whole_system:
            raise RuntimeError(
                "a TorchForce without a box on some atoms of a System may get wrapped positions on OpenMM's CUDA "
                "platform: use the SO3kratesForce itself, a force with periodic=True, or the CPU platform"
            )
        region = positions if self.is_whole_system else positions[self.particles.to(positions.device)]
        cell = None if box is None else box.detach() * self.angstrom_per_nm
        energy, forces, _charges, _virial = torch.ops.so3krates.evaluate(
            region * self.angstrom_per_nm,
            self.potential.atomic_numbers,
            cell,
            self.potential.charge,
            self.potential.spin,
            self.potential.model,
            self.potential.model_file,
            False,
        )
        forces = forces * (self.energy_factor * self.angstrom_per_nm)
        if not self.is_whole_system:
            forces = torch.zeros_like(positions).index_copy_(0, self.particles.to(positions.device), forces)
        return energy * self.energy_factor, forces


class Computation:
    """The function of a PythonTorchForce: an `OpenMMModule` for a State."""

    def __init__(self, module: OpenMMModule, periodic: bool) -> None:
        self._module, self._periodic = module, periodic

    def __call__(self, state: openmm.State, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Energy () kJ/mol and forces (N, 3) kJ/mol/nm at `positions` (N, 3) nm."""
        box = None
        if self._periodic:
            vectors = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)
            box = torch.from_numpy(vectors)
        return self._module(positions, box)


def make_torch_force(force, threads: int | None = None) -> openmm.Force:
    """The `openmmtorch.TorchForce` of a SO3kratesForce; see `SO3kratesForce.to_torch_force`."""
    _refuse_scale_parameter(force, "TorchForce")
    openmmtorch = _import_openmmtorch()
    result = openmmtorch.TorchForce(torch.jit.script(_module_of(force, threads)))
    result.setOutputsForces(True)
    return _with_settings_of(force, result)


def make_python_torch_force(force, threads: int | None = None) -> openmm.Force:
    """The `openmmtorch.PythonTorchForce` of a SO3kratesForce; see `SO3kratesForce.to_python_torch_force`."""
    _refuse_scale_parameter(force, "PythonTorchForce")
    openmmtorch = _import_openmmtorch()
    if not hasattr(openmmtorch, "PythonTorchForce"):
        raise ImportError(
            f"openmmtorch {importlib.metadata.version('openmmtorch')} has no PythonTorchForce, later versions will: "
            "use to_torch_force() or to_python_force()"
        )
    computation = Computation(_module_of(force, threads), force.usesPeriodicBoundaryConditions())
    return _with_settings_of(force, openmmtorch.PythonTorchForce(computation))


def _module_of(force, threads: int | None) -> OpenMMModule:
    cutoff = _openmm.get_lr_cutoff(force)
    potential = TorchPotential(
        force._model(),
        force.getAtomicNumbers(),
        charge=_openmm.get_charge(force),
        spin=_openmm.get_spin(force),
        embed_model=force.getEmbedModel(),
        lr_cutoff=None if cutoff == float("inf") else cutoff * 10,
        dispersion_switch_width=_openmm.get_dispersion_switch_width(force) * 10,
        precision=force.getPrecision(),
        threads=threads,
        allow_untrained_elements=force.getAllowUntrainedElements(),
    )
    return OpenMMModule(potential, _openmm.get_particles(force), force.getScale())


def _with_settings_of(force, result: openmm.Force) -> openmm.Force:
    result.setUsesPeriodicBoundaryConditions(force.usesPeriodicBoundaryConditions())
    result.setForceGroup(force.getForceGroup())
    result.setName(force.getName())
    return result


def _refuse_scale_parameter(force, kind: str) -> None:
    if force.getScaleParameter() is not None:
        raise ValueError(
            f"a {kind} made of a SO3kratesForce cannot follow a Context parameter, which its scale_parameter "
            f"{force.getScaleParameter()!r} is; use a fixed scale, or the SO3kratesForce itself"
        )


def _import_openmmtorch():
    try:
        import openmmtorch
    except ModuleNotFoundError as error:
        raise ImportError(
            "a TorchForce needs openmm-torch, which is not installed: pip install openmmtorch==1.5 torch==2.9.1 "
            "openmm==8.5.2 (docs/torch.md). The SO3kratesForce itself needs none of it"
        ) from error
    except ImportError as error:
        raise ImportError(f"openmmtorch cannot be loaded: {error}. openmmtorch 1.5 needs torch 2.9") from error
    # Only CUDA builds of torch care for the order: pip puts the CUDA libraries where only torch finds them.
    failed = [text for text in openmm.Platform.getPluginLoadFailures() if "OpenMMTorchReference" in text]
    if failed:
        raise ImportError(
            f"openmm was imported before torch, so it could not load openmm-torch ({failed[0]}): "
            "begin the program with 'import torch'"
        )
    if importlib.metadata.version("openmmtorch") == "1.5" and not openmm.version.short_version.startswith("8.5"):
        warnings.warn(
            f"openmmtorch 1.5 was built for OpenMM 8.5: with {openmm.version.short_version} copying or reading a "
            "System with a TorchForce ends the process; use OpenMM 8.5.2, or the SO3kratesForce itself",
            stacklevel=4,  # the line that calls to_torch_force
        )
    return openmmtorch
