"""SO3kratesForce: a SO3krates model as a native OpenMM force.

OpenMM's side of the library: lengths in nm, energies in kJ/mol, or Quantities.
"""

from __future__ import annotations

import importlib.util
import inspect
import math
import numbers
import operator
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import openmm
from openmm import unit
from openmm.app import Topology, element

if TYPE_CHECKING:
    from .potential import Model

if importlib.util.find_spec(f"{__package__}._openmm") is None:
    raise ImportError(
        "openmm_so3krates was built without its OpenMM part; install it again without SO3KRATES_OPENMM=OFF"
    )
try:
    from . import _openmm, platforms
except ImportError as error:
    raise ImportError(
        f"SO3kratesForce cannot be used with OpenMM {openmm.version.short_version}: {error}. It needs the minor "
        "version it was compiled against: install that one, or reinstall openmm_so3krates beside this OpenMM "
        "(pip install --no-build-isolation --force-reinstall --no-deps)"
    ) from error

platforms.load()

PRECISIONS = ("auto", "single", "double")


@dataclass(frozen=True)
class Prediction:
    """What a SO3kratesForce says of one structure beside the forces; atoms in the order of `force.getAtoms()`.

    The energy parts are scaled as the force is, so that their sum is its energy. All else is the model's, whatever
    the scale.
    """

    energy_parts: dict[str, unit.Quantity]  # kJ/mol: network, zbl, electrostatics, dispersion
    partial_charges: unit.Quantity  # (N,) e, summing to the region's charge; 0 if the model predicts none
    hirshfeld_ratios: np.ndarray  # (N,); 1 if the model predicts none
    dipole: unit.Quantity  # (3,) e nm, sum of partial charge times position as getState() gives it, not wrapped


class SO3kratesForce(openmm.Force):
    """The energy of all or some particles of a System by a SO3krates model such as SO3LR.

    The model describes every interaction within its region: add no other force between these particles. Energies are
    defined up to a constant per composition and depend on `lr_cutoff`; the long range is cut off, there is no Ewald
    sum. Models are trained on flexible molecules: use no constraints and a time step of about 0.5 fs.

    `SO3kratesForce(system.getForce(i))`, without other arguments, turns what a System returns into a SO3kratesForce
    again.

    Args:
        model: name of an installed model ("so3lr"), path of a model file, or an `openmm_so3krates.Model`, whose file
            must still be there.
        topology: an `openmm.app.Topology`; gives the elements, the molecules' bonds (used by OpenMM to keep molecules
            whole when it wraps positions or scales the box; the energy knows no bonds) and whether there is a box.
        atomic_numbers: in place of a topology, or where it lacks elements; one for each atom of the region.
        charge: total charge of the region in elementary charges, a number or a Quantity.
        spin: number of unpaired electrons of the region.
        atoms: indices of the region's particles in the System; None: all of them.
        lr_cutoff: cutoff of electrostatics and dispersion, nm or a Quantity; None: no cutoff (without a box only).
        dispersion_switch_width: width below that cutoff in which dispersion fades, nm or a Quantity; None: the model's.
        periodic: whether the region is periodic with the System's box; None: if the topology has a box.
        precision: "single", "double" or "auto" (also None): the platform's own, which is double on Reference and single
            on CPU.
        scale: factor of energy and forces, any finite number; -1 subtracts a model from another force's.
        scale_parameter: name of a Context parameter, another such factor, which `context.setParameter` changes; the
            energy is scale × parameter × the model's. Where that product is 0 nothing is computed. Several forces may
            name one parameter.
        scale_parameter_default: the parameter's value in a new Context; the same for all forces that name it.
        embed_model: write the whole model file into XML; otherwise XML holds its name and SHA-256 and reading it needs
            that very file under that name.
        allow_untrained_elements: compute elements that the model has parameters for but was not trained on.

    Raises:
        ModelError: the model cannot be loaded.
        ValueError: an argument cannot be used.
        TypeError: an argument is of the wrong kind.
        OpenMMException: a Context is made of a System that the force does not fit.
    """

    def __init__(
        self,
        model: str | os.PathLike | Model | openmm.Force,
        topology: Topology | None = None,
        atomic_numbers: Iterable[int] | None = None,
        charge=0,
        spin=0,
        atoms: Iterable[int] | None = None,
        lr_cutoff=1.2 * unit.nanometer,
        dispersion_switch_width=None,
        periodic: bool | None = None,
        precision: str | None = None,
        embed_model: bool = False,
        allow_untrained_elements: bool = False,
        scale: float = 1.0,
        scale_parameter: str | None = None,
        scale_parameter_default: float = 1.0,
    ):
        if isinstance(model, openmm.Force):
            _refuse_settings({name: value for name, value in locals().items() if name not in ("self", "model")})
            if not _openmm.is_so3krates(model):
                raise TypeError(f"the force {model.getName()!r} is not a SO3kratesForce")
            self.this = model.this
            return
        if topology is not None and not isinstance(topology, Topology):
            hint = "; did you mean pdb.topology?" if hasattr(topology, "topology") else ""
            raise TypeError(f"topology must be an openmm.app.Topology, not a {type(topology).__name__}{hint}")
        particles = None if atoms is None else _indices(atoms, "atoms")
        numbers_ = _atomic_numbers(topology, atomic_numbers, particles)
        if precision not in (None, *PRECISIONS):
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
        cutoff = math.inf if lr_cutoff is None else _positive(lr_cutoff, unit.nanometer, "lr_cutoff")
        has_box = topology is not None and topology.getPeriodicBoxVectors() is not None
        if periodic and topology is not None and not has_box:
            raise ValueError(
                "periodic=True, but the topology has no box: set one (topology.setPeriodicBoxVectors) "
                "and give it to the System as well (system.setDefaultPeriodicBoxVectors)"
            )
        periodic = has_box if periodic is None else bool(periodic)
        if periodic and math.isinf(cutoff):
            raise ValueError("a periodic system needs an lr_cutoff; SO3LR was published with 1.2 nm")

        self.this = _openmm.create(_model_name(model), numbers_, particles or []).this
        if getattr(model, "sha256", self.getModelHash()) != self.getModelHash():
            raise ValueError(f"the file of the model {self.getModelName()!r} has changed since it was loaded")
        if not allow_untrained_elements:
            self._refuse_untrained_elements()
        self.setCharge(charge)
        self.setSpin(spin)
        self.setScale(scale)
        self.setScaleParameter(scale_parameter, scale_parameter_default)
        _openmm.set_lr_cutoff(self, cutoff)
        if dispersion_switch_width is not None:
            width = _positive(dispersion_switch_width, unit.nanometer, "dispersion_switch_width")
            _openmm.set_dispersion_switch_width(self, width)
        _openmm.set_periodic(self, periodic)
        _openmm.set_precision(self, precision or "auto")
        _openmm.set_embed_model(self, bool(embed_model))
        _openmm.set_allow_untrained_elements(self, bool(allow_untrained_elements))
        if topology is not None:
            region = set(self.getAtoms())
            bonds = [(bond[0].index, bond[1].index) for bond in topology.bonds()]
            _openmm.set_bonds(self, [bond for bond in bonds if region.issuperset(bond)])

    # -- what it was made of -------------------------------------------------------------------

    def getModelName(self) -> str:
        """The name or path the model was loaded by."""
        return _openmm.get_model_name(self)

    def getModelHash(self) -> str:
        """SHA-256 of the model file, lower-case hexadecimal."""
        return _openmm.get_model_hash(self)

    def getAtoms(self) -> list[int]:
        """Indices of the region's particles in the System."""
        return _openmm.get_particles(self) or list(range(len(self.getAtomicNumbers())))

    def getAtomicNumbers(self) -> list[int]:
        """One for each of `getAtoms()`."""
        return _openmm.get_atomic_numbers(self)

    def getBonds(self) -> list[tuple[int, int]]:
        """Pairs of particles that OpenMM keeps in one molecule; without influence on the energy."""
        return _openmm.get_bonds(self)

    def getLRCutoff(self) -> unit.Quantity | None:
        """Cutoff of electrostatics and dispersion; None: none."""
        cutoff = _openmm.get_lr_cutoff(self)
        return None if math.isinf(cutoff) else cutoff * unit.nanometer

    def getDispersionSwitchWidth(self) -> unit.Quantity:
        """Width of the interval below the cutoff in which dispersion fades."""
        return _openmm.get_dispersion_switch_width(self) * unit.nanometer

    def getPrecision(self) -> str:
        """ "auto", "single" or "double"."""
        return _openmm.get_precision(self)

    def getAllowUntrainedElements(self) -> bool:
        """Whether elements the model was not trained on are computed."""
        return _openmm.get_allow_untrained_elements(self)

    def getEmbedModel(self) -> bool:
        """Whether XML will hold the whole model file."""
        return _openmm.get_embed_model(self)

    # -- what may change -----------------------------------------------------------------------

    def getCharge(self) -> unit.Quantity:
        """Total charge of the region."""
        return _openmm.get_charge(self) * unit.elementary_charge

    def setCharge(self, charge) -> None:
        """Total charge of the region, a number of elementary charges or a Quantity.

        A Context takes it up by `updateParametersInContext`. Raises `TypeError` or `ValueError` if it is not a number.
        """
        _openmm.set_charge(self, _number(charge, unit.elementary_charge, "charge"))

    def getSpin(self) -> float:
        """Number of unpaired electrons of the region."""
        return _openmm.get_spin(self)

    def setSpin(self, spin) -> None:
        """Number of unpaired electrons of the region (multiplicity minus one).

        A Context takes it up by `updateParametersInContext`. Raises `TypeError` or `ValueError` if it is not a number,
        0 or more.
        """
        _openmm.set_spin(self, _number(spin, unit.dimensionless, "spin"))

    def getScale(self) -> float:
        """Factor of energy and forces, beside the scale parameter's value."""
        return _openmm.get_scale(self)

    def setScale(self, scale: float) -> None:
        """Factor of energy and forces, beside the scale parameter's value.

        A Context takes it up by `updateParametersInContext`. Raises `TypeError` or `ValueError` if it is not a finite
        number.
        """
        _openmm.set_scale(self, _number(scale, unit.dimensionless, "scale"))

    def updateParametersInContext(self, context: openmm.Context) -> None:
        """Copies charge, spin and scale to a Context that was made of the System holding this force."""
        _openmm.update_parameters_in_context(self, context)

    # -- the scale as a parameter of the Context -------------------------------------------------

    def getScaleParameter(self) -> str | None:
        """Name of the Context parameter that multiplies energy and forces; None: none."""
        return _openmm.get_scale_parameter(self) or None

    def getScaleParameterDefault(self) -> float:
        """The scale parameter's value in a new Context."""
        return _openmm.get_scale_parameter_default(self)

    def setScaleParameter(self, name: str | None, default: float = 1.0) -> None:
        """Names the Context parameter that multiplies energy and forces, for Contexts made from now on; None: none.

        Raises `TypeError` or `ValueError` if the name is no text or empty, or the default not a finite number.
        """
        if name is not None and not isinstance(name, str):
            raise TypeError(f"scale_parameter must be the name of a Context parameter, not {name!r}")
        if name == "":
            raise ValueError("scale_parameter is empty; give the Context parameter a name, or None for no parameter")
        default = _number(default, unit.dimensionless, "scale_parameter_default")
        _openmm.set_scale_parameter(self, name or "", default)

    def addEnergyParameterDerivative(self, name: str) -> None:
        """Asks for the derivative of the energy by the scale parameter, as OpenMM's forces do.

        `context.getState(parameterDerivatives=True).getEnergyParameterDerivatives()` then holds the sum over all forces
        of the Context that were asked, kJ/mol; of this one it is scale × the model's energy. The model is then
        computed also where scale × parameter is 0. Raises `ValueError` if `name` is not the scale parameter.
        """
        _openmm.add_energy_parameter_derivative(self, name)

    def getNumEnergyParameterDerivatives(self) -> int:
        """1 if the derivative by the scale parameter was asked for, else 0."""
        return int(_openmm.has_energy_parameter_derivative(self))

    def getEnergyParameterDerivativeName(self, index: int) -> str:
        """The scale parameter, if `index` is 0 and its derivative was asked for. Raises `IndexError` otherwise."""
        if index not in range(self.getNumEnergyParameterDerivatives()):
            raise IndexError(f"there is no derivative {index}: {self.getNumEnergyParameterDerivatives()} was asked for")
        return _openmm.get_scale_parameter(self)

    # -- what it predicts --------------------------------------------------------------------------

    def getPrediction(self, context: openmm.Context) -> Prediction:
        """Charges, Hirshfeld ratios, dipole and energy parts at the current positions of a Context.

        One evaluation without forces; the Context stays as it is. Raises `OpenMMException` if this force is not in the
        Context's System or the model cannot be computed there, and `TypeError` if `context` is no Context.
        """
        values = _openmm.get_prediction(self, context)
        return Prediction(
            energy_parts={part: value * unit.kilojoule_per_mole for part, value in values["energy_parts"].items()},
            partial_charges=values["partial_charges"] * unit.elementary_charge,
            hirshfeld_ratios=values["hirshfeld_ratios"],
            dipole=values["dipole"] * (unit.elementary_charge * unit.nanometer),
        )

    def getImplementation(self, context: openmm.Context) -> str:
        """What computes this force in a Context: "CPU avx2 single"; on CUDA also the GPU, and whether the last
        evaluation was replayed from a CUDA graph.

        Raises `OpenMMException` if this force is not in the Context's System, `TypeError` if `context` is no Context.
        """
        return _openmm.get_implementation(self, context)

    # -- as other forces -----------------------------------------------------------------------

    def to_torch_force(self, threads: int | None = None) -> openmm.Force:
        """The same energy as a TorchForce of openmm-torch.

        It is a copy of this force as it is: later changes do not reach it, and its charge, spin and scale are
        fixed. It has no bonds, so OpenMM does not know which atoms make a molecule. In precision "auto" it computes in
        the precision of the positions that openmm-torch hands over: double on the Reference and CPU platforms.

        On OpenMM's CUDA platform a TorchForce without a box must not stand beside a periodic force: openmm-torch gives
        it positions that OpenMM has wrapped atom by atom, and its forces would be wrong. For a region this is refused;
        for a whole System it cannot be seen from here. Use this force itself, or one with periodic=True.

        `threads`: as for `Potential`. Needs openmm-torch, and torch imported before openmm (docs/torch.md).

        Raises `ImportError` if openmm-torch or torch cannot be used, `ValueError` if the force has a scale parameter
        and as `Potential` does.
        """
        from .torch_force import make_torch_force

        return make_torch_force(self, threads)

    def to_python_torch_force(self, threads: int | None = None) -> openmm.Force:
        """The same energy as a PythonTorchForce, which openmm-torch has in versions later than 1.5.

        As `to_torch_force`, but each step passes through Python, and XML of a System with it holds a pickle: read only
        your own.
        """
        from .torch_force import make_python_torch_force

        return make_python_torch_force(self, threads)

    def to_python_force(self, device: str = "cpu", threads: int | None = None) -> openmm.Force:
        """The same energy as OpenMM's PythonForce (OpenMM 8.5 or newer), for any platform of OpenMM.

        It is a copy of this force as it is, with fixed charge, spin and scale and without bonds; it follows its scale
        parameter, but gives no derivative by it. In precision "auto" it computes in single precision. Each step passes
        through Python, and through the host's memory.

        `device`, `threads`: as for `Potential`; the platform the System is on does not matter.

        XML of a System with it holds a pickle, which OpenMM executes when it reads the XML: read only your own.

        Raises `RuntimeError` if OpenMM has no PythonForce, `ValueError` if the force was asked for the derivative by
        its scale parameter, and what `Potential` raises.
        """
        from .python_force import make_python_force

        return make_python_force(self, device, threads)

    def __repr__(self) -> str:
        return f"<SO3kratesForce of {self.getModelName()!r} on {len(self.getAtomicNumbers())} atoms>"

    def _model(self) -> Model:
        """The model, as `Potential` takes it; no file is read."""
        from .potential import Model

        return Model.from_bytes(_openmm.get_model_file(self), self.getModelName())

    def _refuse_untrained_elements(self) -> None:
        trained = _openmm.get_elements(self)
        for atom, number in zip(self.getAtoms(), self.getAtomicNumbers(), strict=True):
            if number not in trained:
                raise ValueError(
                    f"atom {atom} is {_symbol(number)}, which the model {self.getModelName()!r} was not trained on; "
                    f"it knows {', '.join(map(_symbol, trained))}. Leave the atom out (atoms=...), use another model, "
                    "or set allow_untrained_elements=True for a numerical experiment"
                )


def _symbol(atomic_number: int) -> str:
    return element.Element.getByAtomicNumber(atomic_number).symbol


def _model_name(model) -> str:
    if isinstance(model, os.PathLike):
        path = os.fsdecode(model)
        return path if "/" in path else f"./{path}"  # a path, never the name of an installed model
    # A Model belongs to the other extension module, which shares nothing with this one but the file.
    name = model.name if hasattr(model, "sha256") else model
    if not isinstance(name, str):
        raise TypeError(f"model must be a Model, the name of an installed one, or a path, not {type(model).__name__}")
    return name


def _refuse_settings(settings: dict) -> None:
    """Raises `TypeError` if one of the constructor's settings is not at its default."""
    parameters = inspect.signature(SO3kratesForce).parameters
    given = [name for name, value in settings.items() if value is not parameters[name].default]
    if given:
        raise TypeError(
            f"SO3kratesForce(force) is the force as it is and takes no {', '.join(given)}; use setCharge, setSpin and "
            "setScale, or make a new force from the model"
        )


def _indices(values: Iterable[int], name: str) -> list[int]:
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a sequence of whole numbers, not {values!r}")
    result = []
    for value in values:
        if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
            raise ValueError(f"{name} must be whole numbers, not {value}")
        try:
            index = operator.index(value)
        except TypeError:
            index = None
        if index is None or isinstance(value, bool):
            raise TypeError(f"{name} must be a sequence of whole numbers, not of {value!r}")
        if not -(2**31) <= index < 2**31:
            raise ValueError(f"{name} holds {index}, which is out of range")
        result.append(index)
    if not result:
        raise ValueError(f"{name} is empty; at least one atom is needed")
    return result


def _atomic_numbers(
    topology: Topology | None, atomic_numbers: Iterable[int] | None, particles: list[int] | None
) -> list[int]:
    """Atomic numbers of the region's atoms, from what was given."""
    if topology is None and atomic_numbers is None:
        raise ValueError("give the topology, or the atomic numbers of the atoms")
    given = None if atomic_numbers is None else _indices(atomic_numbers, "atomic_numbers")
    if topology is None:
        if particles is not None and len(particles) != len(given):
            raise ValueError(f"there are {len(given)} atomic numbers for {len(particles)} atoms; one each is needed")
        return given

    topology_atoms = list(topology.atoms())
    for particle in particles or []:
        if not 0 <= particle < len(topology_atoms):
            raise ValueError(f"atoms names particle {particle}, but the topology has {len(topology_atoms)} atoms")
    region = topology_atoms if particles is None else [topology_atoms[particle] for particle in particles]
    if given is not None:
        if len(given) != len(region):
            raise ValueError(f"there are {len(given)} atomic numbers, but the topology gives {len(region)} atoms")
        return given
    for atom in region:
        if atom.element is None:
            raise ValueError(
                f"atom {atom.index} ({atom.name} of {atom.residue.name} {atom.residue.id}) has no element in the "
                "topology. If it is a virtual site, leave it out (atoms=...) or use a model without virtual sites; "
                "otherwise set its element or give atomic_numbers"
            )
    return [atom.element.atomic_number for atom in region]


def _number(value, target: unit.Unit, name: str) -> float:
    if unit.is_quantity(value):
        if not value.unit.is_compatible(target):
            raise ValueError(f"{name} is in {value.unit}, which cannot be converted to {target}")
        value = value.value_in_unit(target)
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    return float(value)


def _positive(value, target: unit.Unit, name: str) -> float:
    number = _number(value, target, name)
    if number <= 0:
        raise ValueError(f"{name} must be positive, not {number:g} {target.get_symbol()}")
    return number
