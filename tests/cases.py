"""The reference systems of `tests/data`: numbers of the original JAX code for SO3LR (see its README)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"
PARTS = ("network", "zbl", "electrostatics", "dispersion")

NAMES = sorted(path.stem for path in DATA.glob("*.npz"))
LARGE_NAMES = [name for name in NAMES if name.startswith("water_512")]
NO_CUTOFF_NAMES = ["ac_ala3_nhme", "acetate", "aladip", "dha", "ethanol", "h2", "pair_far_20A", "water"]


@dataclass(frozen=True)
class Outputs:
    """Results of one run; what it did not store is None or missing in the dict. Å, eV, e."""

    energy: float
    energy_parts: dict[str, float]
    forces: np.ndarray  # (N, 3)
    force_parts: dict[str, np.ndarray]  # empty for the large systems and the float32 run
    partial_charges: np.ndarray | None
    hirshfeld_ratios: np.ndarray | None
    dipole: np.ndarray | None


@dataclass(frozen=True)
class Case:
    """One system: the input, and what the original code says of it."""

    name: str
    atomic_numbers: np.ndarray  # (N,)
    positions: np.ndarray  # (N, 3) Å
    cell: np.ndarray | None  # (3, 3) Å, rows are box vectors
    charge: float
    spin: float
    lr_cutoff: float
    dispersion_switch_width: float
    num_edges_short: int
    num_edges_long: int
    double: Outputs
    single: Outputs  # float32 throughout
    no_cutoff: Outputs | None  # double, without a long-range cutoff
    edges: tuple[np.ndarray, np.ndarray, np.ndarray] | None  # receivers, senders, shifts up to 4.5 Å
    x: np.ndarray | None  # (4, N, 128) at the start and after each layer
    ev: np.ndarray | None  # (4, N, 24)

    @property
    def num_atoms(self) -> int:
        return len(self.atomic_numbers)

    @property
    def system(self) -> dict:
        """Keyword arguments of the model's and the engine's call beside atomic numbers and positions."""
        return {"cell": self.cell, "charge": self.charge, "spin": self.spin}


def load_case(name: str) -> Case:
    """The case of this name, one of `NAMES`."""
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as file:
        data = dict(file)
    return Case(
        name=name,
        atomic_numbers=data["atomic_numbers"],
        positions=data["positions"],
        cell=data.get("cell"),
        charge=float(data["charge"]),
        spin=float(data["spin"]),
        lr_cutoff=float(data["lr_cutoff"]),
        dispersion_switch_width=float(data["dispersion_switch_width"]),
        num_edges_short=int(data["num_edges_short"]),
        num_edges_long=int(data["num_edges_long"]),
        double=_outputs(data, ""),
        single=_outputs(data, "_float32"),
        no_cutoff=_outputs(data, "_no_cutoff") if "energy_no_cutoff" in data else None,
        edges=(data["receivers"], data["senders"], data["shifts"]) if "receivers" in data else None,
        x=data.get("x"),
        ev=data.get("ev"),
    )


def _outputs(data: dict[str, np.ndarray], suffix: str) -> Outputs:
    return Outputs(
        energy=float(data[f"energy{suffix}"]),
        energy_parts={part: float(data[f"energy_{part}{suffix}"]) for part in PARTS},
        forces=data[f"forces{suffix}"],
        force_parts={part: data[f"forces_{part}{suffix}"] for part in PARTS if f"forces_{part}{suffix}" in data},
        partial_charges=data.get(f"partial_charges{suffix}"),
        hirshfeld_ratios=data.get(f"hirshfeld_ratios{suffix}"),
        dipole=data.get(f"dipole{suffix}"),
    )
