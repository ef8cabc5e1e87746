"""Energies and forces of a SO3krates model for arrays of atoms: the compiled engine without OpenMM.

Units here are Å, eV and elementary charges; `openmm_so3krates.SO3kratesForce` is the same engine in nm and kJ/mol.
"""

from __future__ import annotations

import math
import operator
import os
from dataclasses import dataclass

import numpy as np

from . import _engine
from .device_arrays import device_array, empty_beside, is_on_gpu

Model = _engine.Model


@dataclass(frozen=True)
class Result:
    """What `Potential.compute` returns: float64 NumPy arrays in Å, eV and e.

    From positions on a GPU, `forces`, `partial_charges` and `hirshfeld_ratios` are float64 arrays of the same library
    on the same GPU, ready on every stream; everything else is on the host.
    """

    energy: float  # eV; comparable between structures of one composition only
    energy_parts: dict[str, float]  # eV: network, zbl, electrostatics, dispersion; their sum is `energy`
    forces: np.ndarray | None  # (N, 3) eV/Å; None if not asked for
    partial_charges: np.ndarray  # (N,) e, summing to the total charge; 0 if the model predicts none
    hirshfeld_ratios: np.ndarray  # (N,); 1 if the model predicts none
    dipole: np.ndarray  # (3,) e Å, sum of partial charge times position as given
    virial: np.ndarray | None  # (3, 3) eV: minus the derivative of the energy by strain; None if not asked for


@dataclass(frozen=True)
class BatchResult:
    """What `Potential.compute_batch` returns: as `Result`, with one row per molecule or per atom of all molecules."""

    energies: np.ndarray  # (molecules,) eV
    energy_parts: dict[str, np.ndarray]  # each (molecules,) eV
    forces: np.ndarray | None  # (N, 3) eV/Å
    partial_charges: np.ndarray  # (N,) e
    hirshfeld_ratios: np.ndarray  # (N,)
    dipoles: np.ndarray  # (molecules, 3) e Å
    virials: np.ndarray | None  # (molecules, 3, 3) eV


MAX_THREADS = 4096
PRECISIONS = ("single", "double")
_PARTS = ("network", "zbl", "electrostatics", "dispersion")


class Potential:
    """A frozen SO3krates model ready to compute (Frank et al., Nat. Commun. 2024; SO3LR: Kabylda et al., JACS 2025).

    It may be shared between Python threads: calls take turns, each with all threads of the potential. It never changes,
    so copies of it are the same object; pickled, it holds the whole model file (SO3LR: 2 MB) and makes itself anew, a
    subclass with its attributes.

    Args:
        model: name of an installed model ("so3lr"), path of a model file, or a `Model`.
        device: "cpu", "cuda" or "cuda:1" and so on: a GPU by its number; "cuda" alone is the one in use (by torch,
            CuPy, ...) or the first. Its kernels are compiled for the model when it is first used, and kept on disk.
        precision: "single" (float32 arithmetic, energies summed in float64) or "double".
        lr_cutoff: Å, at most 1000, cutoff of electrostatics and dispersion; None for none, which periodic systems do
            not allow. With a cutoff energies contain a constant that depends on it.
        dispersion_switch_width: Å below `lr_cutoff` over which dispersion is switched off; None: the model's.
        threads: number of threads, up to 4096; None: one per processor this process may use. Results do not depend on
            it; a GPU uses none.
        radial_table: in single precision, replace the radial networks by splines (error below 1e-4 of the rms, checked
            when the model is loaded); False: always the networks, several times slower.
        allow_untrained_elements: compute elements the model has numbers for but was not trained on, at your own risk.

    Raises:
        ModelError: the model cannot be found or used.
        DeviceError: there is no usable GPU, driver or run-time compiler; the message says what to do.
        ValueError: a setting is out of range.
    """

    def __init__(
        self,
        model: str | os.PathLike | Model,
        device: str = "cpu",
        precision: str = "single",
        lr_cutoff: float | None = 12.0,
        dispersion_switch_width: float | None = None,
        threads: int | None = None,
        allow_untrained_elements: bool = False,
        radial_table: bool = True,
    ) -> None:
        self.model = model if isinstance(model, Model) else Model.load(os.fspath(model))
        if not isinstance(precision, str) or precision not in PRECISIONS:
            raise ValueError(f"precision must be 'single' or 'double', not {precision!r}")
        self._settings = {
            "device": str(device),
            "precision": precision,
            "lr_cutoff": None if lr_cutoff is None else _number(lr_cutoff, "lr_cutoff"),
            "dispersion_switch_width": (
                None if dispersion_switch_width is None else _number(dispersion_switch_width, "dispersion_switch_width")
            ),
            "threads": 0 if threads is None else _threads(threads),
            "allow_untrained_elements": bool(allow_untrained_elements),
            "radial_table": bool(radial_table),
        }
        self._engine = _engine.Potential(model=self.model, **self._settings)

    def __copy__(self) -> Potential:
        return self

    def __deepcopy__(self, memo: dict) -> Potential:
        return self

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_engine"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._engine = _engine.Potential(model=self.model, **self._settings)

    @property
    def threads(self) -> int:
        """Number of threads in use."""
        return self._engine.threads

    @property
    def implementation(self) -> str:
        """Which kernels compute, for example "CPU avx2 single"."""
        return self._engine.implementation

    def time_stages(self, *args, **kwargs) -> list[tuple[str, int, float]]:
        """Where the time of one evaluation goes: runs `compute` with these arguments.

        Returns (stage, layer, seconds) in the order the stages ran; seconds are wall time with all threads, layer
        counts from 0 and is -1 outside the layers. Empty for a GPU, whose stages are not timed.
        """
        self._engine.times_stages = True
        try:
            self.compute(*args, **kwargs)
            return self._engine.stage_times
        finally:
            self._engine.times_stages = False

    def compute(
        self,
        atomic_numbers,
        positions,
        cell=None,
        charge: float = 0.0,
        spin: float = 0.0,
        forces: bool = True,
        virial: bool = False,
    ) -> Result:
        """Energy, forces and charges of one system.

        Args:
            atomic_numbers: (N,) integers.
            positions: (N, 3) Å, NumPy array or CPU torch tensor; not copied if float64 and contiguous. Atoms may lie
                outside the box. With device="cuda" also a torch tensor or CuPy array on that GPU, float32 or float64,
                of any strides: it is read there, after what its library's current stream holds, and no array of
                numbers per atom passes through the host. All other arguments are on the host.
            cell: (3, 3) Å, rows are box vectors; None: no periodicity. May be smaller than the cutoffs.
            charge: total charge in e.
            spin: number of unpaired electrons.
            forces, virial: whether to compute them.

        Raises:
            ValueError: wrong shapes, positions that are not finite, unknown elements, coincident atoms, a degenerate
                box, a charge that is not a number, an array on a GPU where it cannot be used.
            DeviceError: positions on another GPU than the potential; a failure of the GPU.
        """
        _refuse_gpu("cell", cell)
        out = self._evaluate(
            atomic_numbers,
            positions,
            None,
            np.zeros((0, 3, 3)) if cell is None else _array(cell, "cell", (3, 3), np.float64)[None],
            np.array([_number(charge, "charge")]),
            np.array([_number(spin, "spin")]),
            forces,
            virial,
        )
        sums = out["energies"][0]
        return Result(
            energy=float(sums[0]),
            energy_parts={name: float(value) for name, value in zip(_PARTS, sums[1:], strict=True)},
            forces=out.get("forces"),
            partial_charges=out["partial_charges"],
            hirshfeld_ratios=out["hirshfeld_ratios"],
            dipole=out["dipoles"][0],
            virial=out["virials"][0] if virial else None,
        )

    def compute_batch(
        self,
        atomic_numbers,
        positions,
        offsets,
        cells=None,
        charges=None,
        spins=None,
        forces: bool = True,
        virial: bool = False,
    ) -> BatchResult:
        """Several independent molecules in one evaluation.

        Args:
            atomic_numbers: (N,) integers of all molecules, one after the other.
            positions: (N, 3) Å, as in `compute`, on the host or on the GPU.
            offsets: (molecules + 1,) integers, molecule m owns the atoms offsets[m] to offsets[m + 1] - 1.
            cells: (molecules, 3, 3) Å, a molecule with all zeros is not periodic; None: none is.
            charges, spins: (molecules,) total charges in e and numbers of unpaired electrons; None: 0.
            forces, virial: whether to compute them.

        Raises:
            ValueError: as `compute`, and offsets that do not rise from 0 to N.
        """
        for name, value in (("offsets", offsets), ("cells", cells), ("charges", charges), ("spins", spins)):
            _refuse_gpu(name, value)
        offsets = _integers(offsets, "offsets")
        molecules = len(offsets) - 1
        if molecules < 1:
            raise ValueError("offsets must have one number more than there are molecules")
        cells = np.zeros((0, 3, 3)) if cells is None else _array(cells, "cells", (molecules, 3, 3), np.float64)
        zeros = np.zeros(molecules)
        out = self._evaluate(
            atomic_numbers,
            positions,
            offsets,
            cells,
            zeros if charges is None else _array(charges, "charges", (molecules,), np.float64),
            zeros if spins is None else _array(spins, "spins", (molecules,), np.float64),
            forces,
            virial,
        )
        sums = out["energies"]
        return BatchResult(
            energies=sums[:, 0],
            energy_parts={name: sums[:, k + 1] for k, name in enumerate(_PARTS)},
            forces=out.get("forces"),
            partial_charges=out["partial_charges"],
            hirshfeld_ratios=out["hirshfeld_ratios"],
            dipoles=out["dipoles"],
            virials=out.get("virials"),
        )

    def _evaluate(self, atomic_numbers, positions, offsets, cells, charges, spins, forces, virial) -> dict:
        """The engine's dictionary of arrays. offsets None: one molecule; the rest is checked already."""
        _refuse_gpu("atomic_numbers", atomic_numbers)
        numbers = _integers(atomic_numbers, "atomic_numbers")
        on_gpu = is_on_gpu(positions)
        if on_gpu and not self._engine.is_on_gpu:
            _refuse_gpu("positions", positions)
        given = (
            device_array(positions, "positions") if on_gpu else _array(positions, "positions", (None, 3), np.float64)
        )
        if len(given.shape) != 2 or given.shape[1] != 3:
            raise ValueError(f"positions must have shape (N, 3), not {given.shape}")
        if len(numbers) != given.shape[0]:
            raise ValueError(f"there are {len(numbers)} atomic_numbers but {given.shape[0]} positions")
        if offsets is None:
            offsets = np.array([0, len(numbers)], np.intc)
        if not on_gpu:
            return self._engine.compute(numbers, given, offsets, cells, charges, spins, forces, virial)
        if not len(numbers):
            raise ValueError("there are no atoms")
        shapes = {"forces": (len(numbers), 3), "partial_charges": (len(numbers),), "hirshfeld_ratios": (len(numbers),)}
        room = {name: empty_beside(given, *shape) for name, shape in shapes.items() if forces or name != "forces"}
        outputs = [room[name][1] if name in room else 0 for name in shapes]
        out = self._engine.compute_on_device(
            numbers,
            given.address,
            given.strides,
            given.dtype == "float32",
            outputs,
            given.stream,
            offsets,
            cells,
            charges,
            spins,
            virial,
        )
        return {**out, **{name: array for name, (array, _) in room.items()}}


def _array(value, name: str, shape: tuple[int | None, ...], dtype) -> np.ndarray:
    if np.ma.isMaskedArray(value):
        raise ValueError(f"{name} is a masked array; give an array without a mask")
    try:
        array = np.asarray(value)
        if array.dtype.kind == "c":
            raise ValueError("it holds complex numbers")
        array = np.ascontiguousarray(array, dtype=dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be read as an array of numbers: {error}") from None
    if array.ndim != len(shape) or any(want not in (None, got) for got, want in zip(array.shape, shape, strict=True)):
        wanted = ", ".join("N" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape ({wanted}{',' if len(shape) == 1 else ''}), not {array.shape}")
    return array


def _integers(value, name: str) -> np.ndarray:
    if type(value) is np.ndarray and value.ndim == 1 and value.dtype.kind in "iu":  # as a rule, and at every call
        array = np.ascontiguousarray(value, np.intc)
        if (array == value).all():
            return array
    array = _array(value, name, (None,), np.float64)
    if not (np.isfinite(array).all() and (array == np.rint(array)).all() and (np.abs(array) < 2**31).all()):
        raise ValueError(f"{name} must be whole numbers")
    return array.astype(np.intc)


def _threads(value) -> int:
    try:
        threads = operator.index(value)
    except TypeError:
        threads = 0
    if isinstance(value, bool) or not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads must be a whole number from 1 to {MAX_THREADS}, or None, not {value!r}")
    return threads


def _number(value, name: str) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    try:
        if np.ma.isMaskedArray(value) or np.iscomplexobj(value):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, not {value!r}") from None
    if not np.isfinite(number):
        raise ValueError(f"{name} must be a finite number, not {number}")
    return number


def _refuse_gpu(name: str, value) -> None:
    if is_on_gpu(value):
        raise ValueError(
            f"{name} is an array on a GPU, and is needed on the host: give a NumPy array "
            f"(torch: {name}.cpu(), CuPy: {name}.get())"
        )
