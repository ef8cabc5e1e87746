"""A SO3krates model as a calculator of ASE, the Atomic Simulation Environment (lengths in Å, energies in eV).

ASE does not come along: pip install ase.
"""

from __future__ import annotations

import os

import numpy as np

try:
    from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
    from ase.stress import full_3x3_to_voigt_6_stress
except ModuleNotFoundError as error:
    if (error.name or "").split(".")[0] != "ase":
        raise
    raise ImportError("openmm_so3krates.ase needs ASE: pip install ase") from error

from .electrons import check_electrons
from .potential import Model, Potential, _number


class SO3kratesCalculator(Calculator):
    """Energy, forces, stress, partial charges and dipole of `ase.Atoms` by a SO3krates model such as SO3LR.

    Atoms are a molecule (no pbc; a cell is ignored) or periodic in all three directions. Charge and spin are the
    calculator's unless `atoms.info` has "charge", "spin" (number of unpaired electrons) or "multiplicity" (spin + 1).

    Properties, in ASE's conventions: `energy` and `free_energy` (eV, the same number), `forces` (N, 3) eV/Å, `stress`
    (6,) eV/Å³ in the order xx, yy, zz, yz, xz, xy and positive under tension (periodic atoms only), `charges` (N,) e,
    `dipole` (3,) e Å of the positions as they are (of a charged or periodic system it depends on the origin).

    Energies compare only between structures of one composition and with one `lr_cutoff`.

    Args:
        model: name of an installed model ("so3lr"), path of a model file, or an `openmm_so3krates.Model`.
        charge: total charge in e.
        spin: number of unpaired electrons.
        lr_cutoff: Å, cutoff of electrostatics and dispersion; None for none, which periodic systems do not allow.
        dispersion_switch_width: Å below `lr_cutoff` over which dispersion is switched off; None: the model's.
        device: "cpu", "cuda" or "cuda:1", as for `openmm_so3krates.Potential`.
        precision: "double", which relaxations to small forces and vibrations want, or "single".
        threads: number of threads; None: one per processor this process may use.
        allow_untrained_elements: compute elements the model has numbers for but was not trained on, at your own risk.

    `set(charge=…, spin=…)` changes these two; every other change takes a new calculator.

    Raises `ModelError`, `DeviceError` or `ValueError` if the model or a setting cannot be used; a calculation raises
    `ValueError` for periodicity in one or two directions, a box without volume, a spin that does not fit the number of
    electrons, and atoms the engine refuses.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress", "charges", "dipole"]  # noqa: RUF012
    discard_results_on_any_change = True

    def __init__(
        self,
        model: str | os.PathLike | Model = "so3lr",
        charge: float = 0.0,
        spin: float = 0.0,
        lr_cutoff: float | None = 12.0,
        dispersion_switch_width: float | None = None,
        device: str = "cpu",
        precision: str = "double",
        threads: int | None = None,
        allow_untrained_elements: bool = False,
    ) -> None:
        settings = {
            "lr_cutoff": lr_cutoff,
            "dispersion_switch_width": dispersion_switch_width,
            "device": device,
            "precision": precision,
            "threads": threads,
            "allow_untrained_elements": allow_untrained_elements,
        }
        self.potential = Potential(model, **settings)
        self._charge_and_spin: tuple[float, float] | None = None  # what the results were computed with
        super().__init__()
        # ASE writes the parameters into databases and trajectories, as JSON.
        self.parameters.update(settings, model=self.potential.model.name)
        self.set(charge=charge, spin=spin)

    def set(self, **parameters) -> dict:
        """Changes `charge` (e) or `spin` (unpaired electrons) and returns what has changed.

        Raises `ValueError` if it is not a finite number, `TypeError` for any other parameter.
        """
        if fixed := sorted(set(parameters) - {"charge", "spin"}):
            raise TypeError(f"only charge and spin can be set, not {', '.join(fixed)}; make a new SO3kratesCalculator")
        return super().set(**{name: _number(value, name) for name, value in parameters.items()})

    def check_state(self, atoms, tol: float = 1e-15) -> list[str]:
        """What has changed since the last calculation, charge and spin in `atoms.info` included."""
        changes = super().check_state(atoms, tol)
        if self.atoms is not None and self._charge_and_spin not in (None, self._charge_and_spin_of(atoms)):
            changes.append("info")
        return changes

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        """Computes into `results`; forces and stress only if either is asked for. Called by ASE."""
        super().calculate(atoms, properties, system_changes)
        self.results = {}
        cell = _cell(self.atoms)
        if "stress" in properties and cell is None:
            raise PropertyNotImplementedError("stress is defined for periodic atoms only (set cell and pbc)")
        self._charge_and_spin = self._charge_and_spin_of(self.atoms)
        charge, spin = self._charge_and_spin
        try:
            check_electrons(self.atoms.numbers, charge, spin)
        except ValueError as error:
            raise ValueError(
                f"{error}; give the right charge and spin (number of unpaired electrons) to the calculator or in "
                "atoms.info"
            ) from None
        with_forces = "forces" in properties or "stress" in properties
        result = self.potential.compute(
            self.atoms.numbers,
            self.atoms.positions,
            cell,
            charge,
            spin,
            forces=with_forces,
            virial=with_forces and cell is not None,
        )
        self.results = {
            "energy": result.energy,
            "free_energy": result.energy,
            "charges": result.partial_charges,
            "dipole": result.dipole,
        }
        if with_forces:
            self.results["forces"] = result.forces
            if cell is not None:
                self.results["stress"] = full_3x3_to_voigt_6_stress(-result.virial / self.atoms.get_volume())

    def _charge_and_spin_of(self, atoms) -> tuple[float, float]:
        info = atoms.info
        charge, spin = (
            _number(info[name], f"atoms.info[{name!r}]") if name in info else self.parameters[name]
            for name in ("charge", "spin")
        )
        if "multiplicity" in info:
            unpaired = _number(info["multiplicity"], "atoms.info['multiplicity']") - 1
            if "spin" in info and spin != unpaired:
                raise ValueError(
                    f"atoms.info has spin {spin:g} and multiplicity {unpaired + 1:g}, but spin counts unpaired "
                    "electrons and multiplicity is that number plus one; give one of them"
                )
            spin = unpaired
        return charge, spin


def _cell(atoms) -> np.ndarray | None:
    """(3, 3) Å, or None for a molecule."""
    if not atoms.pbc.any():
        return None
    if not atoms.pbc.all():
        raise ValueError(
            f"atoms are periodic in some directions only (pbc={atoms.pbc.tolist()}), which is not supported: set "
            "pbc=True with empty space of more than lr_cutoff along the others, or pbc=False"
        )
    if atoms.cell.rank < 3:
        raise ValueError("atoms are periodic but have no cell with a volume: set one (atoms.cell), or pbc=False")
    return atoms.cell.array
