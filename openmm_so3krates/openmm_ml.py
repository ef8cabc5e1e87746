"""SO3krates models as potentials of OpenMM-ML: `MLPotential("so3lr")`, `MLPotential("so3krates", modelPath=…)`.

OpenMM-ML finds this module by its entry points and imports it with every `import openmmml`; there is nothing to import
from here. It therefore imports nothing that can fail but OpenMM-ML itself.
"""

from __future__ import annotations

import numbers
import os
import warnings
from collections.abc import Iterable

import openmm
from openmm import unit
from openmmml.mlpotential import MLPotentialImpl, MLPotentialImplFactory

from .electrons import check_electrons


class SO3kratesPotentialImplFactory(MLPotentialImplFactory):
    """Makes the implementation behind the names "so3lr" and "so3krates"."""

    def createImpl(self, name: str, modelPath: str | os.PathLike | None = None, **args) -> SO3kratesPotentialImpl:
        """Called by `MLPotential(name, …)`.

        Args:
            name: "so3lr", the installed model of that name, or "so3krates" with a `modelPath`.
            modelPath: path of a model file, or name of an installed model.

        Raises:
            ValueError: `modelPath` is missing or not wanted.
            TypeError: an unknown argument.
        """
        if args:
            raise TypeError(f"MLPotential({name!r}) takes no {', '.join(sorted(args))}, only modelPath")
        if name == "so3krates" and modelPath is None:
            raise ValueError('MLPotential("so3krates") needs modelPath, a model file or the name of an installed model')
        if name != "so3krates" and modelPath is not None:
            raise ValueError(
                f'MLPotential({name!r}) is the installed model of that name; use MLPotential("so3krates", modelPath=…)'
            )
        return SO3kratesPotentialImpl(name if modelPath is None else modelPath)


class SO3kratesPotentialImpl(MLPotentialImpl):
    """A SO3krates model for `MLPotential.createSystem` and `MLPotential.createMixedSystem`: adds a `SO3kratesForce`.

    Both take, beside OpenMM-ML's own arguments:

    `charge`: total charge of the atoms the model computes, in elementary charges.
    `multiplicity`: their spin multiplicity, the number of unpaired electrons plus one.
    `precision`: "single", "double" or None for the platform's own (double on Reference, single on CPU).
    `lrCutoff`: cutoff of electrostatics and dispersion, nm or a Quantity; None: none (without a box only).

    The model is periodic if the topology has a box, as in OpenMM-ML's other potentials.

    Raises `ModelError` if the model cannot be loaded, `ValueError` or `TypeError` if an argument cannot be used. Warns
    of interpolation in a box in which nobody would see that pairs of the region are counted twice.
    """

    def __init__(self, model: str | os.PathLike) -> None:
        self.model = model

    def addForces(
        self,
        topology: openmm.app.Topology,
        system: openmm.System,
        atoms: Iterable[int] | None,
        forceGroup: int,
        charge: float = 0,
        multiplicity: float = 1,
        precision: str | None = None,
        lrCutoff=1.2 * unit.nanometer,
        **args,
    ) -> None:
        """Called by OpenMM-ML; arguments as above. `atoms` None: all of them."""
        from .force import SO3kratesForce

        # In a mixed system the embedding's own arguments arrive here as well.
        if args and atoms is None:
            raise TypeError(
                f"createSystem takes no {', '.join(sorted(args))} for a SO3krates model, but charge, multiplicity, "
                "precision and lrCutoff"
            )
        if "spin" in args:
            raise TypeError("give the spin as multiplicity, the number of unpaired electrons plus one")
        if not isinstance(multiplicity, numbers.Real) or not multiplicity >= 1:
            raise ValueError(f"multiplicity is the number of unpaired electrons plus one, not {multiplicity!r}")
        periodic = topology.getPeriodicBoxVectors() is not None
        if atoms is not None and system.getNumForces() and system.usesPeriodicBoundaryConditions() != periodic:
            raise ValueError(
                "the topology has a box, but the force field's System is not periodic: build it with a "
                "nonbondedMethod that is, or remove the box (topology.setPeriodicBoxVectors(None))"
                if periodic
                else "the force field's System is periodic, but the topology has no box: set it "
                "(topology.setPeriodicBoxVectors)"
            )
        force = SO3kratesForce(
            self.model,
            topology,
            charge=charge,
            spin=multiplicity - 1,
            atoms=None if atoms is None else list(atoms),
            lr_cutoff=lrCutoff,
            precision=precision,
        )
        try:
            check_electrons(force.getAtomicNumbers(), force.getCharge()._value, force.getSpin())
        except ValueError as error:
            raise ValueError(
                f"{error}; give the right charge and multiplicity (unpaired electrons plus one) of the atoms the "
                "model computes"
            ) from None
        if periodic and atoms is not None and not system.getNumForces():  # so OpenMM-ML calls it to interpolate
            _warn_of_small_box(topology, force)
        force.setForceGroup(forceGroup)
        system.addForce(force)

    def getMLLongRange(self) -> bool:
        """False: the model's long range ends at its cutoff, so beyond it periodic images are the force field's."""
        return False


def _warn_of_small_box(topology: openmm.app.Topology, force: openmm.Force) -> None:
    """Inside a CustomCVForce the force cannot see the NonbondedForce whose images it would check."""
    import numpy as np

    if force.getLRCutoff() is None:
        return  # refused when the Context is made
    box = np.array(topology.getPeriodicBoxVectors().value_in_unit(unit.nanometer))
    height = 1 / np.linalg.norm(np.linalg.inv(box), axis=0).max()
    needed = 2 * force.getLRCutoff().value_in_unit(unit.nanometer)
    if height < needed * (1 - 1e-6):
        warnings.warn(
            f"the box is {height:.3g} nm from face to face, less than 2 lrCutoff ({needed:.3g} nm). With "
            "interpolate=True nobody sees if a pair of the region is counted twice, by model and force field: make the "
            "box larger, or see that it is wider than the region by lrCutoff",
            stacklevel=2,
        )
