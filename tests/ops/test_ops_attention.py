"""openmm_so3krates.ops.euclidean_attention against float64 PyTorch and its gradients."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from random_models import hyperparameters, random_box, random_model, random_molecule

import openmm_so3krates
from openmm_so3krates import Model, ops
from openmm_so3krates.model import molecules
from openmm_so3krates.model.graph import displacements, neighbor_list, network_edges, sum_by
from openmm_so3krates.model.spherical_harmonics import contract, expand

ROWS = ("query_x", "key_x", "value_x", "query_ev", "key_ev", "ev")
VARIATIONS = {
    "odd": {"num_heads": 3, "degrees": (0, 1, 3), "activation": "softplus"},
    "132 features": {"num_features": 132, "degrees": (2, 4), "num_heads": 6, "radial_basis": "bessel"},
    "no spherical filter": {"use_spherical_filter": False, "cutoff_function": "cosine"},
    "sqrt_num_features": {"message_normalization": "sqrt_num_features", "radial_basis": "gaussian"},
}


class Case:
    """A model in both forms, a molecule or a small box, and random q, k, v, ev and upstream gradients."""

    def __init__(self, system, **changes):
        hyper = hyperparameters(**changes)
        self.reference, self.system = random_model(hyper), system
        generator = torch.Generator().manual_seed(5)
        n = len(system.positions)

        def normal(width):
            return torch.randn(n, width, generator=generator, dtype=torch.float64)

        F, M = hyper.num_features, hyper.num_euclidean
        self.rows = {name: normal(F if name != "ev" else M) for name in ROWS}
        self.features_gradient, self.ev_gradient = normal(F), normal(M)

    def model(self, folder):
        path = folder / "model.safetensors"
        self.reference.save(path, {"source": "random numbers"})
        return Model.load(str(path))

    def arrays(self, dtype=np.float64):
        return {name: value.numpy().astype(dtype) for name, value in self.rows.items()}

    def expected(self, layer):
        """Messages, and gradients by autograd."""
        hyper, attention = self.reference.hyperparameters, self.reference.layers[layer].attention
        cell = np.zeros((3, 3)) if self.system.cell is None else self.system.cell
        batch = molecules(np.ones(len(self.system.positions), dtype=np.int64), self.system.positions, None, cell[None])
        neighbors = neighbor_list(batch, hyper.cutoff)
        rows = {name: value.clone().requires_grad_() for name, value in self.rows.items()}
        r = batch.positions.clone().requires_grad_()
        strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
        vectors = displacements(r, batch.cells, batch.molecule, neighbors)
        vectors = vectors + vectors @ (strain + strain.T) / 2
        edges = network_edges(vectors, neighbors, self.reference.radial_basis, hyper)
        i, j, n = edges.receivers, edges.senders, len(r)
        norms = contract(rows["ev"][j] - rows["ev"][i], hyper.degrees)

        def coefficients(suffix, filters, blocks, scale):
            products = rows[f"query_{suffix}"][i] * filters(edges.radial_basis, norms) * rows[f"key_{suffix}"][j]
            return scale * edges.cutoff.unsqueeze(-1) * products.reshape(len(i), blocks, -1).sum(-1)

        alpha = coefficients("x", attention.filter_x, hyper.num_heads, attention.scale_x)
        values = rows["value_x"][j].reshape(len(j), hyper.num_heads, -1)
        features = sum_by((alpha.unsqueeze(-1) * values).flatten(1), i, n)
        alpha = coefficients("ev", attention.filter_ev, hyper.num_degrees, attention.scale_ev)
        ev = sum_by(expand(alpha, hyper.degrees) * edges.spherical_harmonics, i, n)
        energy = (features * self.features_gradient).sum() + (ev * self.ev_gradient).sum()
        inputs = [*rows.values(), r, strain]
        found = torch.autograd.grad(energy, inputs, materialize_grads=True, allow_unused=True)
        names = (*ROWS, "positions", "strain")
        gradients = {name: gradient.numpy() for name, gradient in zip(names, found, strict=True)}
        return features.detach().numpy(), ev.detach().numpy(), gradients

    def computed(self, model, layer, dtype=np.float64, **options):
        return ops.euclidean_attention(
            model,
            layer,
            self.system.positions,
            **self.arrays(dtype),
            cell=self.system.cell,
            features_gradient=self.features_gradient.numpy().astype(dtype),
            ev_gradient=self.ev_gradient.numpy().astype(dtype),
            **options,
        )


def assert_close(result, expected, tolerance):
    """tolerance: of an array's largest entry."""
    features, ev, gradients = expected
    found = {"features": result.features, "ev message": result.ev, **asdict(result.gradients)}
    for name, value in {"features": features, "ev message": ev, **gradients}.items():
        assert found[name].shape == value.shape
        error = np.abs(found[name] - value).max()
        assert error <= tolerance * max(np.abs(value).max(), 1e-30), f"{name}: {error}"


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("variation", VARIATIONS)
def test_messages_and_gradients(tmp_path, variation, layer):
    for system in (random_molecule(), random_box()):
        case = Case(system, **VARIATIONS[variation])
        result = case.computed(case.model(tmp_path), layer)
        assert_close(result, case.expected(layer), 1e-11)
        single = case.computed(case.model(tmp_path), layer, np.float32)
        assert single.features.dtype == single.gradients.key_ev.dtype == np.float32
        assert single.gradients.positions.dtype == np.float64
        assert_close(single, case.expected(layer), 1e-5)


def test_many_atoms_on_threads(tmp_path):
    """Several tiles of pairs; the same bits for any number of threads."""
    system = random_molecule(num_atoms=60, size=9.0)
    case = Case(system)
    model = case.model(tmp_path)
    result = case.computed(model, 1, threads=3)
    assert_close(result, case.expected(1), 1e-11)
    assert (case.computed(model, 1).gradients.positions == result.gradients.positions).all()


def test_without_gradients_and_with_one(tmp_path):
    case = Case(random_molecule())
    model, positions = case.model(tmp_path), case.system.positions
    both = case.computed(model, 1)
    alone = ops.euclidean_attention(model, 1, positions, **case.arrays())
    assert alone.gradients is None
    assert (alone.features == both.features).all() and (alone.ev == both.ev).all()
    case.ev_gradient[:] = 0
    expected = case.expected(1)
    result = ops.euclidean_attention(
        model, 1, positions, **case.arrays(), features_gradient=case.features_gradient.numpy()
    )
    assert_close(result, expected, 1e-11)


def test_an_atom_alone(tmp_path):
    case = Case(random_molecule())
    rows = {name: value[:1] for name, value in case.arrays().items()}
    result = ops.euclidean_attention(
        case.model(tmp_path), 0, [[3.0, 0, 0]], **rows, features_gradient=rows["key_x"], ev_gradient=rows["ev"]
    )
    assert not result.features.any() and not result.ev.any()
    assert not any(values.any() for values in asdict(result.gradients).values())


BAD = {
    "layer": ({"layer": 2}, "layers 0 to 1"),
    "shape": ({"query_ev": np.zeros((3, 24))}, "query_ev must have shape"),
    "dtypes": ({"ev": np.zeros((8, 15), np.float32)}, "all be float64 or all be float32"),
    "whole numbers": (dict.fromkeys(ROWS, np.zeros((8, 24), int)), "all be float64"),
    "positions": ({"positions": np.full((8, 3), np.nan)}, "position of atom 0"),
    "same place": ({"positions": np.zeros((8, 3))}, "same place"),
    "cell": ({"cell": np.diag([1.0, 1, 0])}, "degenerate"),
    "gradient": ({"features_gradient": np.zeros(4)}, "features_gradient must have shape"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(tmp_path, name):
    case = Case(random_molecule(num_atoms=8))
    changes, message = BAD[name]
    arguments = {"model": case.model(tmp_path), "layer": 0, "positions": case.system.positions, **case.arrays()}
    with pytest.raises(ValueError, match=message):
        ops.euclidean_attention(**{**arguments, **changes})


FORK = """
import os, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from openmm_so3krates import Model, ops
model = Model.load(sys.argv[2])
random = np.random.default_rng(1)
rows = {name: random.normal(size=(3, 128)) for name in ("query_x", "key_x", "value_x", "query_ev", "key_ev")}
def messages():
    positions = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0.0]])
    return ops.euclidean_attention(model, 1, positions, ev=np.ones((3, 24)), threads=2, **rows).features
expected = messages()
child = os.fork()
same = (messages() == expected).all()
if not child:
    sys.exit(0 if same else 1)  # everything is destroyed on the way
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_fork(so3lr):
    """The threads stay behind in the parent; the child neither computes with them nor waits for them at its end."""
    package = Path(openmm_so3krates.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", FORK, package, so3lr], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
