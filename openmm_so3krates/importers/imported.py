"""What the importers of the different published formats have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .. import free_atoms
from ..hyperparameters import Hyperparameters, ModelError
from ..model_file import check_tensors, write_model_file

# The published code's default of the long-range cutoff, used where a configuration leaves it open.
DEFAULT_LR_CUTOFF = 12.0
DEFAULT_DISPERSION_SWITCH_WIDTH = 2.0

_SO3LR = {
    "model": "SO3LR",
    "license": "MIT, Copyright (c) 2024 Thorben Frank",
    "citation": "A. Kabylda, J. T. Frank, S. Suárez-Dou, A. Khabibrakhmanov, L. Medrano Sandonas, O. T. Unke, "
    "S. Chmiela, K.-R. Müller, A. Tkatchenko, Molecular Simulations with a Pretrained Neural Network and Universal "
    "Pairwise Force Fields, J. Am. Chem. Soc. 147, 33723 (2025), doi:10.1021/jacs.5c09558",
}
# SHA-256 of published weights -> what is known about them.
_PUBLISHED = {
    "1c481bd2d9280f8b7b131ec65e92d25ff73deda76956bc137754c2acb98d93fd": _SO3LR,  # params.pkl of the so3lr repository
    "b5145564911ff983ed076ccb2bca5ce63454b74c9c8291092695463f1e6732be": _SO3LR,  # so3lr.model of so3krates-torch 0.2.1
}


@dataclass(frozen=True)
class ImportedModel:
    """A model read from another program's files, in this project's names and conventions."""

    hyperparameters: Hyperparameters
    tensors: dict[str, np.ndarray] = field(repr=False)
    provenance: dict[str, str]

    def __post_init__(self) -> None:
        check_tensors(self.hyperparameters, self.tensors)

    def write(self, path: str | os.PathLike) -> None:
        """Writes the model file; raises `OSError` naming the reason if that fails."""
        write_model_file(path, self.hyperparameters, self.tensors, self.provenance)


def provenance_of(source: str, sha256: str) -> dict[str, str]:
    """Where weights come from: the source's name and hash and, for published ones, license and citation."""
    return {"source": source, "sha256": sha256, **_PUBLISHED.get(sha256, {})}


class Parameters:
    """The source's arrays by name; remembers which were used, so that none is silently dropped."""

    def __init__(self, arrays: Mapping[str, np.ndarray], origin: str) -> None:
        self._arrays = arrays
        self._origin = origin
        self._used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def take(self, name: str) -> np.ndarray:
        """The array as float32 or float64; raises `ModelError` if it is not there."""
        if name not in self._arrays:
            raise ModelError(f"{self._origin} has no parameter {name}, which its settings ask for")
        self._used.add(name)
        array = self._arrays[name]
        if array.dtype.kind != "f":
            raise ModelError(f"parameter {name} of {self._origin} has type {array.dtype}, not floating point")
        return array.astype(np.float64 if array.dtype.itemsize == 8 else np.float32)

    def ignore(self, unwanted: Callable[[str], bool]) -> None:
        """Marks parameters that have no bearing on energies and forces."""
        self._used.update(name for name in self._arrays if unwanted(name))

    def check_all_used(self) -> None:
        """Raises `ModelError` naming the parameters that nothing has asked for."""
        unused = sorted(set(self._arrays) - self._used)
        if unused:
            raise ModelError(
                f"{self._origin} has parameters that its settings do not explain: {', '.join(unused[:5])}"
                + (f" and {len(unused) - 5} more" if len(unused) > 5 else "")
            )


def element_table(rows: np.ndarray, first: int) -> np.ndarray:
    """A table by atomic number from one whose row 0 belongs to atomic number `first` (0 or 1).

    Row 0 becomes zero: no atom uses it, and the same model from two sources must give the same file.
    """
    if first == 1:
        rows = np.concatenate([np.zeros_like(rows[:1]), rows])
    rows = np.ascontiguousarray(rows)
    rows[0] = 0
    return rows


def trained_elements(scales: np.ndarray | None, requested: Sequence[int] | None) -> tuple[int, ...]:
    """The elements a model was trained for.

    `scales` are its energy scales by atomic number, if learned: they start at exactly 1 and move only for
    elements in the training data. `requested` is the user's own list, which comes first.
    """
    if requested is not None:
        return tuple(sorted(set(requested)))
    found = () if scales is None else tuple(int(z) for z in np.flatnonzero(scales != 1.0) if z > 0)
    if not found:
        raise ModelError(
            "this source does not tell which elements the model was trained for; name them, for example "
            "--elements H,C,N,O"
        )
    return found


def dispersion_tables() -> dict[str, np.ndarray]:
    """The free-atom values that the dispersion energy scales; they are not part of the published parameters."""
    return {
        "dispersion.polarizability": free_atoms.polarizabilities(),
        "dispersion.c6": free_atoms.c6_coefficients(),
    }


def check_head_widths(energy_hidden: object, num_features: object) -> None:
    """The charge and Hirshfeld heads share the width of the energy head in the published code, not here."""
    if energy_hidden != num_features:
        raise ModelError(
            "heads for partial charges and Hirshfeld ratios are read only where energy_regression_dim is "
            f"num_features ({num_features}), not {energy_hidden}"
        )
