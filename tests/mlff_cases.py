"""Small random models of many shapes, with what the original JAX code says of one molecule (tests/data/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_so3krates.importers.mlff import convert_mlff
from openmm_so3krates.model import SO3krates

DATA = Path(__file__).parent / "data" / "mlff"
MLFF_NAMES = sorted(path.stem for path in DATA.glob("*.npz"))


@dataclass(frozen=True)
class MlffCase:
    """One model and molecule: Å, eV, e."""

    model: SO3krates  # float64, imported from the original layout
    atomic_numbers: np.ndarray
    positions: np.ndarray
    charge: float
    spin: float
    energy: float
    forces: np.ndarray
    hirshfeld_ratios: np.ndarray | None
    dipole: np.ndarray | None

    def assert_same(self, energy, forces, hirshfeld_ratios, dipole) -> None:
        def error(values, expected):
            return np.abs(np.asarray(values) - expected).max()

        assert np.abs(self.forces).max() > 1e-3
        assert error(energy, self.energy) < 1e-11
        assert error(forces, self.forces) < 1e-11
        if self.hirshfeld_ratios is not None:
            assert error(hirshfeld_ratios, self.hirshfeld_ratios) < 1e-12
            if self.model.charges is not None:
                assert error(dipole, self.dipole) < 1e-11


def load_mlff_case(name: str) -> MlffCase:
    """The case of this name, one of `MLFF_NAMES`."""
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as file:
        data = dict(file)
    settings = json.loads(str(data["settings"]))
    parameters = {key: array for key, array in data.items() if key.startswith("params/")}
    imported = convert_mlff(parameters, settings, {"source": "random numbers"}, elements=(1, 6, 7, 8))
    model = SO3krates.from_tensors(imported.hyperparameters, imported.tensors)
    model.lr_cutoff = settings["model"]["cutoff_lr"]
    if settings["model"]["dispersion_energy_cutoff_lr_damping"] is not None:
        model.dispersion_switch_width = settings["model"]["dispersion_energy_cutoff_lr_damping"]
    return MlffCase(
        model=model,
        atomic_numbers=data["atomic_numbers"],
        positions=data["positions"],
        charge=float(data["charge"]),
        spin=float(data["spin"]),
        energy=float(data["energy"]),
        forces=data["forces"],
        hirshfeld_ratios=data.get("hirshfeld_ratios"),
        dipole=data.get("dipole"),
    )
