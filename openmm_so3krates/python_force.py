"""SO3kratesForce as OpenMM's PythonForce: what `SO3kratesForce.to_python_force` does."""

from __future__ import annotations

import numpy as np
import openmm
from openmm import unit

from . import _openmm
from .models import lasting_name
from .potential import Model, Potential

_ANGSTROM_PER_NM = 10.0
_KJ_PER_MOL_PER_EV = 1.602176634e-19 * 6.02214076e23 / 1000  # exact in the SI since 2019


class Computation:
    """The function of a PythonForce: energy and forces of a State, in OpenMM's units.

    Pickles hold the model's name or path and its SHA-256, and its file only if `embed_model`.
    """

    def __init__(
        self,
        model: Model,
        embed_model: bool,
        atomic_numbers: list[int],
        particles: list[int],  # empty: the whole System
        periodic: bool,
        charge: float,
        spin: float,
        scale: float,
        scale_parameter: str | None,
        settings: dict,  # of `Potential`
    ) -> None:
        self._model_name, self._sha256 = lasting_name(model.name), model.sha256
        self._file = model.file_bytes if embed_model else None
        self._atomic_numbers = atomic_numbers
        self._particles = particles
        self._periodic = periodic
        self._charge, self._spin = charge, spin
        self._scale, self._scale_parameter = scale, scale_parameter
        self._settings = settings
        self._potential = Potential(model, **settings)

    def __call__(self, state: openmm.State):
        """Energy (kJ/mol) and forces (N, 3) (kJ/mol/nm) of all N particles of the System."""
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        cell = None
        if self._periodic:
            cell = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer) * _ANGSTROM_PER_NM
        region = self._particles or slice(None)
        result = self._get_potential().compute(
            self._atomic_numbers, positions[region] * _ANGSTROM_PER_NM, cell=cell, charge=self._charge, spin=self._spin
        )
        factor = self._scale * _KJ_PER_MOL_PER_EV
        if self._scale_parameter is not None:
            factor *= state.getParameters()[self._scale_parameter]
        forces = np.zeros(positions.shape)
        forces[region] = result.forces * (factor * _ANGSTROM_PER_NM)
        return result.energy * factor, forces

    def _get_potential(self) -> Potential:
        if self._potential is None:
            if self._file is not None:
                model = Model.from_bytes(self._file, self._model_name)
            else:
                model = Model.load(self._model_name)
            if model.sha256 != self._sha256:
                raise ValueError(
                    f"the model {self._model_name!r} has the SHA-256 {model.sha256}, but the force was made with "
                    f"{self._sha256}: put that file back, or make the force anew"
                )
            self._potential = Potential(model, **self._settings)
        return self._potential

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_potential": None}


def make_python_force(force, device: str = "cpu", threads: int | None = None) -> openmm.Force:
    """The `openmm.PythonForce` of a SO3kratesForce; see `SO3kratesForce.to_python_force`."""
    if not hasattr(openmm, "PythonForce"):
        raise RuntimeError(f"OpenMM {openmm.version.short_version} has no PythonForce; it came with OpenMM 8.5")
    if force.getNumEnergyParameterDerivatives() > 0:
        raise ValueError("a PythonForce knows no derivative by a Context parameter; use the SO3kratesForce itself")
    cutoff = _openmm.get_lr_cutoff(force)
    settings = {
        "device": device,
        "precision": "double" if force.getPrecision() == "double" else "single",
        "lr_cutoff": None if cutoff == float("inf") else cutoff * _ANGSTROM_PER_NM,
        "dispersion_switch_width": _openmm.get_dispersion_switch_width(force) * _ANGSTROM_PER_NM,
        "threads": threads,
        "allow_untrained_elements": force.getAllowUntrainedElements(),
    }
    computation = Computation(
        force._model(),
        force.getEmbedModel(),
        force.getAtomicNumbers(),
        # PythonForce's own choice of particles is not used: on OpenMM's GPU platforms it gives a force without
        # periodicity wrong positions (OpenMM 8.6), while those of the whole System are right.
        _openmm.get_particles(force),
        force.usesPeriodicBoundaryConditions(),
        _openmm.get_charge(force),
        _openmm.get_spin(force),
        force.getScale(),
        force.getScaleParameter(),
        settings,
    )
    parameter = force.getScaleParameter()
    result = openmm.PythonForce(computation, {} if parameter is None else {parameter: force.getScaleParameterDefault()})
    result.setUsesPeriodicBoundaryConditions(force.usesPeriodicBoundaryConditions())
    result.setForceGroup(force.getForceGroup())
    result.setName(force.getName())
    return result
