"""The attention of one layer in float64 PyTorch, q, k and v given, and what the emulated kernels want to know of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import random_models
import torch

from openmm_so3krates.hyperparameters import Hyperparameters
from openmm_so3krates.model import SO3krates, molecules
from openmm_so3krates.model.graph import Edges, NeighborList, displacements, neighbor_list, network_edges, sum_by
from openmm_so3krates.model.spherical_harmonics import contract, expand

# The shapes of tests/cuda_emulation/CMakeLists.txt.
SO3LR = {
    "num_features": 128,
    "num_heads": 4,
    "degrees": (1, 2, 3, 4),
    "num_radial_basis": 32,
    "num_layers": 3,
    "energy_hidden": 128,
    "cutoff": 4.5,
}
SHAPES = {
    "so3lr_float": SO3LR,
    "so3lr_double": SO3LR,
    "small_float": {"num_features": 64, "num_heads": 2, "degrees": (1, 2), "num_radial_basis": 8},
    "odd_double": {
        "num_heads": 3,
        "degrees": (0, 1, 3),
        "num_radial_basis": 6,
        "activation": "softplus",
        "radial_basis": "gaussian",
        "cutoff_function": "cosine",
        "message_normalization": "sqrt_num_features",
    },
    "wide_double": {
        "num_features": 132,
        "num_heads": 6,
        "degrees": (2, 4),
        "num_radial_basis": 9,
        "activation": "tanh",
        "radial_basis": "bessel",
        "bessel_first": 0,
        "cutoff_function": "polynomial",
        "cutoff_exponent": 5,
        "message_normalization": "sqrt_num_features",
    },
    "narrow_double": {
        "num_features": 20,
        "num_heads": 20,
        "degrees": (0, 1, 2, 3, 4),
        "num_radial_basis": 5,
        "radial_basis": "physnet",
        "cutoff_function": "exponential",
    },
}
ATOM_ARRAYS = ("query_x", "key_x", "value_x", "query_ev", "key_ev")


@dataclass
class Case:
    """Atoms with random q, k, v, ev, and random gradients of what the attention returns; all float64."""

    model: SO3krates
    layer: int
    positions: torch.Tensor  # (N, 3) Å
    cells: torch.Tensor  # (B, 3, 3)
    molecule: torch.Tensor  # (N,)
    neighbors: NeighborList
    arrays: dict[str, torch.Tensor]  # ATOM_ARRAYS (N, F), ev (N, M)
    message_gradient: torch.Tensor  # (N, F)
    ev_gradient: torch.Tensor  # (N, M)

    @property
    def hyper(self) -> Hyperparameters:
        return self.model.hyperparameters

    @property
    def attention(self):
        return self.model.layers[self.layer].attention

    @property
    def vectors(self) -> torch.Tensor:
        return displacements(self.positions, self.cells, self.molecule, self.neighbors)


def make_case(shape: str, layer: int = 1, skin: float = 0.0, seed: int = 3, **changes: object) -> Case:
    """A molecule, a small box that needs many images, and an atom alone. `skin`: the neighbor list reaches beyond."""
    hyper = random_models.hyperparameters(**{**SHAPES[shape], **changes})
    model = random_models.random_model(hyper, seed)
    molecule_system, box = random_models.random_molecule(seed, 6), random_models.random_box(seed, 3)
    alone = np.array([[50.0, -20.0, 30.0]])
    positions = np.concatenate([molecule_system.positions + 100.0, box.positions, alone])
    molecule = np.repeat([0, 1, 2], [6, 3, 1])
    cells = np.stack([np.zeros((3, 3)), box.cell, np.zeros((3, 3))])
    batch = molecules(np.ones(len(positions), dtype=np.int64), positions, molecule, cells)
    neighbors = neighbor_list(batch, hyper.cutoff + skin)
    generator = torch.Generator().manual_seed(seed)

    def normal(width: int) -> torch.Tensor:
        return torch.randn(len(positions), width, generator=generator, dtype=torch.float64)

    arrays = {name: normal(hyper.num_features) for name in ATOM_ARRAYS}
    arrays["ev"] = 0.3 * normal(hyper.num_euclidean)
    return Case(
        model,
        layer,
        batch.positions,
        batch.cells,
        batch.molecule,
        neighbors,
        arrays,
        normal(hyper.num_features),
        normal(hyper.num_euclidean),
    )


def messages(case: Case, arrays: dict[str, torch.Tensor], edges: Edges) -> tuple[torch.Tensor, torch.Tensor]:
    """What the attention adds to the features and to ev."""
    hyper, attention = case.hyper, case.attention
    i, j, n = edges.receivers, edges.senders, len(case.positions)
    norms = contract(arrays["ev"][j] - arrays["ev"][i], hyper.degrees)

    def coefficients(suffix: str, filters: torch.nn.Module, blocks: int, scale: float) -> torch.Tensor:
        w = filters(edges.radial_basis, norms)
        products = arrays[f"query_{suffix}"][i] * w * arrays[f"key_{suffix}"][j]
        return scale * edges.cutoff.unsqueeze(-1) * products.reshape(len(w), blocks, -1).sum(-1)

    alpha = coefficients("x", attention.filter_x, hyper.num_heads, attention.scale_x)
    values = arrays["value_x"][j].reshape(len(j), hyper.num_heads, -1)
    to_x = sum_by((alpha.unsqueeze(-1) * values).flatten(1), i, n)
    alpha = coefficients("ev", attention.filter_ev, hyper.num_degrees, attention.scale_ev)
    to_ev = sum_by(expand(alpha, hyper.degrees) * edges.spherical_harmonics, i, n)
    return to_x, to_ev


def reference(case: Case) -> dict[str, np.ndarray]:
    """Messages and gradients by autograd, named as the emulated kernels' results."""
    arrays = {name: value.clone().requires_grad_() for name, value in case.arrays.items()}
    r = case.positions.clone().requires_grad_()
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    vectors = displacements(r, case.cells, case.molecule, case.neighbors)
    vectors = vectors + vectors @ strain
    edges = network_edges(vectors, case.neighbors, case.model.radial_basis, case.hyper)
    to_x, to_ev = messages(case, arrays, edges)
    energy = (to_x * case.message_gradient).sum() + (to_ev * case.ev_gradient).sum()
    gradients = torch.autograd.grad(energy, [r, strain, *arrays.values()], materialize_grads=True, allow_unused=True)
    names = [*(f"{name}_gradient" for name in ATOM_ARRAYS), "ev_in_gradient"]
    result = {name: gradient.numpy() for name, gradient in zip(names, gradients[2:], strict=True)}
    g = gradients[1].numpy()  # [a, b]: sum of r_a g_b
    return {
        **result,
        "features": to_x.detach().numpy(),
        "ev": (arrays["ev"] + to_ev).detach().numpy(),
        "forces": -gradients[0].numpy(),
        "total_strain": np.array([g[0, 0], g[1, 1], g[2, 2], g[2, 1], g[2, 0], g[1, 0]]),
    }


def kernel_geometry(case: Case) -> dict[str, object]:
    """Neighbor matrix and shifts; entries of the matrix that are not in use hold nonsense."""
    n, numbers = len(case.positions), case.neighbors.shifts.numpy()
    receivers, senders = case.neighbors.receivers.numpy(), case.neighbors.senders.numpy()
    molecule = case.molecule.numpy()
    images, shifts, first = np.empty(len(receivers), dtype=np.int64), [], []
    for m in range(len(case.cells)):  # every molecule has rows of shifts of its own
        mine = molecule[receivers] == m
        unique, inverse = np.unique(np.concatenate([np.zeros((1, 3)), numbers[mine]]), axis=0, return_inverse=True)
        first.append(sum(len(rows) for rows in shifts))
        shifts.append(unique @ case.cells[m].numpy())
        images[mine] = inverse.ravel()[1:]
    count = np.bincount(receivers, minlength=n)
    capacity = int(count.max()) + 3
    matrix = np.full((2, n, capacity), -(2**30), dtype=np.int64)
    for atom in range(n):
        mine = np.flatnonzero(receivers == atom)
        mine = mine[np.lexsort((images[mine], senders[mine]))]
        matrix[:, atom, : len(mine)] = senders[mine], images[mine]
    return {
        "num_atoms": n,
        "num_molecules": len(case.cells),
        "molecule": molecule,
        "wrapped": case.positions.numpy(),
        "shifts": np.concatenate(shifts),
        "first_image": np.array(first),
        "count": count,
        "senders": matrix[0],
        "images": matrix[1],
        "capacity": capacity,
        "cutoff": case.hyper.cutoff,
        "forces": np.zeros((n, 3)),
        "strain": np.zeros((n, 6)),
    }


def kernel_input(case: Case, basis_parameters: np.ndarray, table: tuple | None = None) -> dict[str, object]:
    """Arguments of a module's `attention`. table: what its `radial_table` says."""
    hyper, attention = case.hyper, case.attention
    constant_ev = case.layer == 0 and hyper.euclidean_init == "zero"
    data = {
        **kernel_geometry(case),
        **{name: value.numpy() for name, value in case.arrays.items()},
        "features": np.zeros((len(case.positions), hyper.num_features)),
        "scale_x": attention.scale_x,
        "scale_ev": attention.scale_ev,
        "basis_parameters": basis_parameters,
        "message_gradient": case.message_gradient.numpy(),
        "ev_gradient": case.ev_gradient.numpy(),
        "input_matters": not constant_ev,
    }
    for m, (suffix, filters) in enumerate((("x", attention.filter_x), ("ev", attention.filter_ev))):
        first, second = (layer.weight.detach().numpy() for layer in filters.radial)
        first_bias, radial_bias = (layer.bias.detach().numpy() for layer in filters.radial)
        bias = radial_bias.copy()
        if filters.spherical is not None:
            inner, outer = filters.spherical
            bias += outer.bias.detach().numpy()
            if constant_ev:
                bias += (outer.weight @ filters.spherical.activation(inner.bias)).detach().numpy()
            else:
                norms = np.sqrt([2 * degree + 1 for degree in hyper.degrees])
                data[f"spherical0_{suffix}"] = (inner.weight.detach().numpy() / norms).T
                data[f"spherical0_bias_{suffix}"] = inner.bias.detach().numpy()
                data[f"spherical1_{suffix}"] = outer.weight.detach().numpy().T
                data[f"spherical1_back_{suffix}"] = outer.weight.detach().numpy()
        data[f"radial0_{suffix}"], data[f"radial0_bias_{suffix}"] = first.T, first_bias
        data[f"radial1_{suffix}"], data[f"radial1_bias_{suffix}"] = second.T, bias
        if table is not None:
            data[f"table_{suffix}"] = table[0][case.layer, m].astype(np.float64)
            data[f"table_{suffix}"][:, 0] += bias - radial_bias
            data["grid"] = table[1]
    return data
