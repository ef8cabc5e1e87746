"""Models with random numbers for many choices of hyperparameters, and small random molecules to try them on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from openmm_so3krates.hyperparameters import Hyperparameters
from openmm_so3krates.model import SO3krates

# Small enough for many finite differences, odd enough that no two dimensions can be mixed up.
BASE = {
    "num_features": 24,
    "num_layers": 2,
    "num_heads": 4,
    "degrees": (1, 2, 3),
    "cutoff": 3.5,
    "num_radial_basis": 7,
    "avg_num_neighbors": 3.7,
    "energy_hidden": 10,
    "lr_cutoff": 6.0,
    "elements": (1, 6, 7, 8),
}
PHYSICS = {"partial_charges": True, "hirshfeld_ratios": True, "zbl": True, "electrostatics": True, "dispersion": True}
EMBEDDINGS = {"use_charge_embedding": True, "use_spin_embedding": True}

# What each variation changes in BASE.
VARIATIONS: dict[str, dict] = {
    "base": {},
    "132 features, 3 degrees, 4 heads": {"num_features": 132, "num_radial_basis": 32},
    "degree 0": {"degrees": (0,)},
    "degrees 0, 1": {"degrees": (0, 1)},
    "degrees 2, 4": {"degrees": (2, 4)},
    "degrees 1 to 4": {"degrees": (1, 2, 3, 4)},
    "degrees 0 to 4": {"degrees": (0, 1, 2, 3, 4), "num_features": 20},
    "64 features, degrees 0 to 3": {"degrees": (0, 1, 2, 3), "num_features": 64, "num_heads": 8},
    "one head": {"num_heads": 1},
    "as many heads as features": {"num_heads": 24},
    "six features": {"num_features": 6, "num_heads": 2},
    "one layer": {"num_layers": 1},
    "four layers": {"num_layers": 4},
    "gaussian basis": {"radial_basis": "gaussian"},
    "physnet basis": {"radial_basis": "physnet"},
    "bessel basis": {"radial_basis": "bessel"},
    "bessel basis from 0": {"radial_basis": "bessel", "bessel_first": 0},
    "two basis functions": {"num_radial_basis": 2},
    "another gamma": {"bernstein_gamma": 0.6},
    "cosine cutoff": {"cutoff_function": "cosine"},
    "polynomial cutoff": {"cutoff_function": "polynomial"},
    "polynomial cutoff, exponent 3": {"cutoff_function": "polynomial", "cutoff_exponent": 3},
    "exponential cutoff": {"cutoff_function": "exponential"},
    "identity": {"activation": "identity"},
    "softplus": {"activation": "softplus"},
    "tanh": {"activation": "tanh"},
    "relu": {"activation": "relu"},
    "silu on q and k": {"qk_activation": "silu"},
    "tanh on q and k": {"qk_activation": "tanh"},
    "no normalization": {"message_normalization": "identity"},
    "sqrt_num_features": {"message_normalization": "sqrt_num_features"},
    "no spherical filter": {"use_spherical_filter": False},
    "no layer norms": {"layer_norm_1": False, "layer_norm_2": False},
    "layer norm 1 alone": {"layer_norm_2": False},
    "both residual perceptrons": {"residual_mlp_2": True},
    "residual perceptron 2 alone": {"residual_mlp_1": False, "residual_mlp_2": True},
    "no residual perceptron": {"residual_mlp_1": False},
    "charge embedding": {"use_charge_embedding": True},
    "spin embedding": {"use_spin_embedding": True},
    "both embeddings": EMBEDDINGS,
    "ev from the neighborhood": {"euclidean_init": "neighborhood"},
    "ev from the neighborhood, degrees 0, 2": {"euclidean_init": "neighborhood", "degrees": (0, 2)},
    "energy without hidden layer": {"energy_hidden": None},
    "identity in the energy head": {"energy_activation": "identity"},
    "heads without physical terms": {"partial_charges": True, "hirshfeld_ratios": True},
    "zbl": {"zbl": True},
    "electrostatics": {"partial_charges": True, "electrostatics": True},
    "another sigma": {"partial_charges": True, "electrostatics": True, "electrostatics_sigma": 1.7},
    "dispersion": {"hirshfeld_ratios": True, "dispersion": True},
    "another dispersion": {
        "hirshfeld_ratios": True,
        "dispersion": True,
        "dispersion_gamma_scale": 0.9,
        "dispersion_switch_width": 1.3,
    },
    "everything": {**PHYSICS, **EMBEDDINGS},
    "everything, long range shorter than the network's": {**PHYSICS, **EMBEDDINGS, "lr_cutoff": 2.8},
    "everything, from the neighborhood": {**PHYSICS, **EMBEDDINGS, "euclidean_init": "neighborhood"},
    "mlff defaults": {
        "degrees": (1, 2, 3, 4),
        "num_radial_basis": 16,
        "cutoff_function": "exponential",
        "layer_norm_1": False,
        "layer_norm_2": False,
        "residual_mlp_2": True,
        "message_normalization": "sqrt_num_features",
        "qk_activation": "silu",
        "energy_activation": "identity",
    },
}


def hyperparameters(**changes: object) -> Hyperparameters:
    return Hyperparameters(**{**BASE, **changes})


def random_model(hyper: Hyperparameters, seed: int = 0, dtype: torch.dtype = torch.float64) -> SO3krates:
    """Like a trained model, nothing in it is zero or one: what starts so gets noise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SO3krates(hyper, dtype)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter += 0.1 * torch.randn_like(parameter)
            # The charge and spin embeddings are as strong as the element's.
            model.embedding.element.weight *= 2.0
    return model


@dataclass(frozen=True)
class System:
    """One molecule: Å, e."""

    atomic_numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray | None = None
    charge: float = 0.0
    spin: float = 0.0

    @property
    def call(self) -> dict:
        """Keyword arguments of the model's and the engine's call."""
        return {"cell": self.cell, "charge": self.charge, "spin": self.spin}


def random_molecule(seed: int = 0, num_atoms: int = 7, size: float = 3.0, min_distance: float = 0.9) -> System:
    """A charged radical of H, C, N, O in a cube of this size, no two atoms closer than `min_distance` Å."""
    rng = np.random.default_rng(seed)
    positions: list[np.ndarray] = []
    while len(positions) < num_atoms:
        candidate = rng.uniform(0, size, 3)
        if all(np.linalg.norm(candidate - other) > min_distance for other in positions):
            positions.append(candidate)
    return System(rng.choice([1, 6, 7, 8], num_atoms), np.array(positions), None, -1.0, 1.0)


def random_box(seed: int = 0, num_atoms: int = 5, min_distance: float = 0.9) -> System:
    """A small triclinic box, in which every cutoff of BASE reaches several images, with some atoms outside of it."""
    rng = np.random.default_rng(seed)
    cell = np.array([[3.6, 0.0, 0.0], [0.7, 4.1, 0.0], [-0.9, 0.5, 3.9]])
    shifts = np.array([(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]) @ cell
    positions: list[np.ndarray] = []
    while len(positions) < num_atoms:
        candidate = rng.uniform(0, 1, 3) @ cell
        if all(np.linalg.norm(candidate - other + shifts, axis=1).min() > min_distance for other in positions):
            positions.append(candidate)
    outside = rng.integers(-2, 3, (num_atoms, 3)) @ cell
    return System(rng.choice([1, 6, 7, 8], num_atoms), np.array(positions) + outside, cell, 1.0, 2.0)


def random_rotation(seed: int = 0, reflect: bool = False) -> np.ndarray:
    """An orthogonal matrix with determinant 1, or -1 if `reflect`."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q *= np.sign(np.linalg.det(q))
    return -q if reflect else q
