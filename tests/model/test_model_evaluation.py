"""How the PyTorch model is called: batches, boxes, lists, odd molecules, second derivatives, and bad input."""

import numpy as np
import pytest
import torch
from random_models import (
    EMBEDDINGS,
    PHYSICS,
    VARIATIONS,
    hyperparameters,
    random_box,
    random_model,
    random_molecule,
)

from openmm_so3krates.hyperparameters import ModelError
from openmm_so3krates.model import SO3krates, molecules

EVERYTHING = {**PHYSICS, **EMBEDDINGS}


@pytest.fixture
def model():
    return random_model(hyperparameters(**EVERYTHING))


def assert_same(result, expected, bound=1e-11):
    assert np.abs(result.energy.numpy() - expected.energy.numpy()).max() < bound
    assert np.abs(result.forces.numpy() - expected.forces.numpy()).max() < bound


# -- names of the parameters -------------------------------------------------------------------------


def test_state_dict_is_the_model_file():
    """Every name and shape of docs/model_file.md for F=24, H=4, D=3, K=7, S=6, B=10 and elements up to 8."""
    model = SO3krates(hyperparameters(**EVERYTHING, num_layers=1, radial_basis="gaussian", residual_mlp_2=True))
    expected = {"embedding.element.weight": (9, 24), "radial_basis.centers": (7,), "radial_basis.widths": (7,)}
    for kind in ("charge", "spin"):
        expected[f"embedding.{kind}.query.weight"] = (9, 24)
        expected[f"embedding.{kind}.key.weight"] = expected[f"embedding.{kind}.value.weight"] = (2, 24)
        for k in (0, 1):
            expected[f"embedding.{kind}.residual.{k}.weight"] = (24, 24)

    def dense(name, num_in, num_out):
        expected[f"{name}.weight"], expected[f"{name}.bias"] = (num_out, num_in), (num_out,)

    for kind in ("filter_x", "filter_ev"):
        dense(f"layers.0.attention.{kind}.radial.0", 7, 24)
        dense(f"layers.0.attention.{kind}.radial.1", 24, 24)
        dense(f"layers.0.attention.{kind}.spherical.0", 3, 6)
        dense(f"layers.0.attention.{kind}.spherical.1", 6, 24)
    for name in ("query_x", "key_x", "value_x"):
        expected[f"layers.0.attention.{name}"] = (4, 6, 6)
    for name in ("query_ev", "key_ev"):
        expected[f"layers.0.attention.{name}"] = (3, 8, 8)
    for k in (1, 2):
        expected[f"layers.0.norm_{k}.weight"] = expected[f"layers.0.norm_{k}.bias"] = (24,)
        dense(f"layers.0.mlp_{k}.0", 24, 24)
        dense(f"layers.0.mlp_{k}.1", 24, 24)
    dense("layers.0.exchange", 27, 27)
    dense("energy.hidden", 24, 10)
    dense("energy.out", 10, 1)
    dense("charges.hidden", 24, 24)
    dense("charges.out", 24, 1)
    dense("hirshfeld.hidden", 24, 12)
    dense("hirshfeld.out", 12, 12)
    for name in ("energy.scales", "energy.shifts", "charges.element", "hirshfeld.element_shift"):
        expected[name] = (9,)
    expected["hirshfeld.element_query"] = (9, 12)
    expected.update({"zbl.a": (4,), "zbl.c": (4,), "zbl.p": (1,), "zbl.d": (1,)})
    expected.update({"dispersion.polarizability": (9,), "dispersion.c6": (9,)})
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == expected


def test_from_tensors_restores_the_model(model):
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    # A file may hold rows of elements beyond those the model was trained on.
    tensors["embedding.element.weight"] = np.concatenate([tensors["embedding.element.weight"], np.ones((4, 24))])
    copy = SO3krates.from_tensors(model.hyperparameters, tensors)
    molecule = random_molecule()
    call = (molecule.atomic_numbers, molecule.positions)
    assert_same(copy(*call, **molecule.call), model(*call, **molecule.call), 1e-15)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda tensors: tensors.pop("energy.scales"), "missing: energy.scales"),
        (lambda tensors: tensors.update({"energy.extra": np.zeros(3)}), "unknown: energy.extra"),
        (lambda tensors: tensors.update({"energy.out.bias": np.zeros(2)}), "energy.out.bias has shape"),
        (lambda tensors: tensors.update({"energy.scales": np.zeros(3)}), "energy.scales has 3 rows"),
    ],
)
def test_from_tensors_refuses(model, change, message):
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    change(tensors)
    with pytest.raises(ModelError, match=message):
        SO3krates.from_tensors(model.hyperparameters, tensors)


@pytest.mark.parametrize("variation", VARIATIONS)
def test_save_and_load(variation, tmp_path):
    model = random_model(hyperparameters(**VARIATIONS[variation]))
    path = tmp_path / "model.safetensors"
    model.save(path, provenance={"source": "random numbers"})
    loaded = SO3krates.load(path)
    assert loaded.hyperparameters == model.hyperparameters
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def test_dispersion_needs_reference_values():
    with pytest.raises(ModelError, match="must not contain 103"):
        SO3krates(hyperparameters(**PHYSICS, elements=(1, 103)))


def test_initial_model_has_sensible_numbers():
    torch.manual_seed(0)
    molecule = random_molecule(size=6.0)
    result = SO3krates(hyperparameters(**EVERYTHING, num_features=120))(
        molecule.atomic_numbers, molecule.positions, **molecule.call
    )
    assert 1e-3 < result.energy_parts["network"].abs().item() < 100
    assert result.partial_charges.abs().max() < 5
    assert 0.3 < result.hirshfeld_ratios.median() < 3


# -- batches and boxes -------------------------------------------------------------------------------


@pytest.mark.parametrize("variation", ["everything", "everything, from the neighborhood", "base"])
def test_batch_is_its_molecules(variation):
    model = random_model(hyperparameters(**VARIATIONS[variation]))
    systems = [random_molecule(1), random_box(2), random_molecule(3, 1), random_box(4, 3), random_molecule(5, 2)]
    cells = [np.zeros((3, 3)) if s.cell is None else s.cell for s in systems]
    batch = model(
        np.concatenate([s.atomic_numbers for s in systems]),
        np.concatenate([s.positions for s in systems]),
        np.repeat(range(len(systems)), [len(s.positions) for s in systems]),
        cell=np.array(cells),
        charge=[s.charge for s in systems],
        spin=[s.spin for s in systems],
        virial=True,
    )
    start = 0
    for k, s in enumerate(systems):
        one = model(s.atomic_numbers, s.positions, **s.call, virial=True)
        atoms = slice(start, start + len(s.positions))
        start = atoms.stop
        assert batch.energy[k].item() == pytest.approx(one.energy.item(), abs=1e-12)
        for part, energy in one.energy_parts.items():
            assert batch.energy_parts[part][k].item() == pytest.approx(energy.item(), abs=1e-12)
        for name in ("forces", "partial_charges", "hirshfeld_ratios"):
            assert (getattr(batch, name)[atoms] - getattr(one, name)).abs().max() < 1e-11
        for name in ("dipole", "virial"):
            assert (getattr(batch, name)[k] - getattr(one, name)[0]).abs().max() < 1e-11


def test_wrapping_changes_nothing_but_the_dipole(model):
    box = random_box(2)
    wrapped = box.positions - np.floor(box.positions @ np.linalg.inv(box.cell)) @ box.cell
    assert np.abs(wrapped - box.positions).max() > 1
    assert_same(model(box.atomic_numbers, wrapped, **box.call), model(box.atomic_numbers, box.positions, **box.call))


def test_equivalent_box_vectors(model):
    """Another basis of the same lattice, left-handed too."""
    box = random_box(2)
    basis = np.array([[1, 0, 0], [2, 1, 0], [-1, 1, -1]])
    expected = model(box.atomic_numbers, box.positions, **box.call)
    assert_same(model(box.atomic_numbers, box.positions, **{**box.call, "cell": basis @ box.cell}), expected)


def test_supercell():
    model = random_model(hyperparameters(**PHYSICS))
    box = random_box(2)
    shifts = np.array([(a, b, c) for a in (0, 1) for b in (0, 1, 2) for c in (0, 1)]) @ box.cell
    positions = np.concatenate([box.positions + shift for shift in shifts])
    one = model(box.atomic_numbers, box.positions, cell=box.cell, charge=0.5)
    many = model(np.tile(box.atomic_numbers, 12), positions, cell=box.cell * np.array([[2], [3], [2]]), charge=6.0)
    assert many.energy.item() == pytest.approx(12 * one.energy.item(), abs=1e-9)
    assert (many.forces - one.forces.repeat(12, 1)).abs().max() < 1e-10


def test_given_neighbor_lists_are_used(model):
    box = random_box(2)
    lists = model.neighbor_lists(molecules(box.atomic_numbers, box.positions, **box.call))
    call = (box.atomic_numbers, box.positions)
    assert_same(model(*call, **box.call, neighbors=lists), model(*call, **box.call), 1e-15)


@pytest.mark.parametrize("axis", range(3))
def test_linear_molecules(model, axis):
    """Two and three atoms along an axis are as any other direction."""
    tilt = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    positions = np.zeros((3, 3))
    positions[:, axis] = [0.0, 1.1, -1.2]
    for n in (2, 3):
        straight = model([6, 8, 8][:n], positions[:n], forces=True)
        tilted = model([6, 8, 8][:n], positions[:n] @ tilt.T, forces=True)
        assert straight.energy.item() == pytest.approx(tilted.energy.item(), abs=1e-11)
        assert np.abs(straight.forces.numpy() @ tilt.T - tilted.forces.numpy()).max() < 1e-10


def test_atoms_without_neighbors(model):
    one = model([8], [[3.0, 2.0, 1.0]], charge=-1.0, spin=1.0, virial=True)
    assert torch.isfinite(one.energy).all()
    assert (one.forces == 0).all()
    assert (one.virial == 0).all()
    assert one.partial_charges.item() == pytest.approx(-1.0, abs=1e-15)
    model.lr_cutoff = None
    lonely = model([8, 1, 1], [[0.0, 0, 0], [50.0, 0, 0], [51.0, 0, 0]])
    assert torch.isfinite(lonely.forces).all()


def test_separated_molecules_add_up():
    """Without charge exchange or long range, distant molecules do not know of each other."""
    model = random_model(hyperparameters(zbl=True))
    molecule = random_molecule()
    two = model(np.tile(molecule.atomic_numbers, 2), np.concatenate([molecule.positions, molecule.positions + 30.0]))
    one = model(molecule.atomic_numbers, molecule.positions)
    assert two.energy.item() == pytest.approx(2 * one.energy.item(), abs=1e-12)
    assert (two.forces - one.forces.repeat(2, 1)).abs().max() < 1e-12


def test_work_across_the_cutoffs(model):
    """Where a pair leaves a list, the integral of the force is still the difference of the energies.

    Each side by itself: at the long-range cutoff the slope of the electrostatic force jumps.
    """
    nodes, weights = np.polynomial.legendre.leggauss(20)
    for cutoff in (model.hyperparameters.cutoff, model.lr_cutoff):
        distances = cutoff + np.concatenate([[-0.05, 0.05], 0.025 * (nodes - 1), 0.025 * (nodes + 1)])
        positions = np.zeros((42, 2, 3))
        positions[:, 1, 2] = distances
        result = model(np.tile([8, 6], 42), positions.reshape(-1, 3), np.repeat(np.arange(42), 2))
        work = 0.025 * np.tile(weights, 2) @ result.forces.reshape(42, 2, 3)[2:, 1, 2].numpy()
        assert (result.energy[0] - result.energy[1]).item() == pytest.approx(work, abs=1e-12)


# -- derivatives -------------------------------------------------------------------------------------


def test_second_derivatives():
    model = random_model(hyperparameters(**EVERYTHING, num_layers=1))
    positions = torch.tensor(random_molecule(0, 2).positions, requires_grad=True)

    def energy(r):
        return model([6, 8], r, charge=1.0, forces=False).energy.sum()

    assert torch.autograd.gradcheck(energy, (positions,))
    assert torch.autograd.gradgradcheck(energy, (positions,))


def test_results_are_detached_unless_asked(model):
    molecule = random_molecule()
    call = (molecule.atomic_numbers, molecule.positions)
    assert not model(*call).energy.requires_grad
    assert not model(*call).partial_charges.requires_grad
    assert model(*call, create_graph=True).forces.requires_grad
    assert model(*call, forces=False).energy.requires_grad
    with torch.no_grad():
        assert torch.equal(model(*call).forces, model(*call).forces)
        assert not model(*call, forces=False).energy.requires_grad


def test_forces_of_a_model_in_single_precision_far_from_the_origin():
    model = random_model(hyperparameters(**EVERYTHING), dtype=torch.float32)
    molecule = random_molecule()
    near = model(molecule.atomic_numbers, molecule.positions, **molecule.call)
    far = model(molecule.atomic_numbers, molecule.positions + 500.0, **molecule.call)
    assert (near.forces - far.forces).abs().max() < 1e-4 * near.forces.abs().max()


# -- bad input ---------------------------------------------------------------------------------------

WATER = ([8, 1, 1], [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"atomic_numbers": [8, 1, 9]}, "atom 2 has atomic number 9.*does not know.*trained on 1, 6, 7, 8"),
        ({"atomic_numbers": [3, 1, 1]}, "atom 0 has atomic number 3.*not trained on.*allow_untrained_elements"),
        ({"atomic_numbers": [0, 1, 1]}, "atomic number 0"),
        ({"atomic_numbers": [8.0, 1.0, 1.0]}, "atomic_numbers must be whole numbers"),
        ({"atomic_numbers": ["O", "H", "H"]}, "atomic_numbers must be numbers"),
        ({"atomic_numbers": []}, "at least one atom"),
        ({"positions": np.zeros((2, 3))}, r"positions of 3 atoms must have shape \(3, 3\), not \(2, 3\)"),
        ({"positions": np.full((3, 3), np.nan)}, r"positions must be finite; element \(0, 0\) is nan"),
        ({"positions": [[0, 0, 0], [1, 0, 0], [np.inf, 0, 0]]}, "positions must be finite"),
        ({"positions": [[0, 0, 0], [1, 0], [2, 0, 0]]}, "positions must be numbers in a regular array"),
        ({"positions": [[0, 0, 0], [1, 0, 0], [0, 0, 0]]}, "atoms 0 and 2 of molecule 0 are at the same place"),
        (
            {"positions": [[0, 0, 0], [1, 0, 0], [10, 20, 0]], "cell": 10 * np.eye(3)},
            r"atoms 0 and 2 \(or its periodic image\)",
        ),
        ({"cell": np.ones((3, 3))}, "degenerate"),
        ({"cell": np.diag([10.0, 10.0, 0.0])}, "degenerate"),
        ({"cell": np.diag([10.0, 10.0, 0.01])}, "degenerate"),
        ({"cell": np.diag([10.0, 10.0, np.nan])}, "cell must be finite"),
        ({"cell": [10.0, 10.0, 10.0]}, r"cell must have shape \(3, 3\)"),
        ({"charge": "one"}, "charge must be numbers"),
        ({"charge": float("nan")}, "charge must be finite"),
        ({"charge": [0.0, 1.0]}, "charge must be one number"),
        ({"charge": None}, "charge must be numbers"),
        ({"spin": float("inf")}, "spin must be finite"),
        ({"spin": -1.0}, "spin is a number of unpaired electrons"),
        ({"molecule": [0, 1]}, "molecule must give one index for each of the 3 atoms"),
        ({"molecule": [0, 2, 2]}, "molecule must be 0 for the first"),
        ({"molecule": [1, 0, 0]}, "molecule must be 0 for the first"),
    ],
)
def test_bad_input(model, arguments, message):
    arguments = {"atomic_numbers": WATER[0], "positions": WATER[1], **arguments}
    with pytest.raises(ValueError, match=message):
        model(**arguments)


def test_box_without_long_range_cutoff(model):
    model.lr_cutoff = None
    with pytest.raises(ValueError, match="set lr_cutoff"):
        model(*WATER, cell=10 * np.eye(3))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "12"])
def test_bad_settings(model, value):
    model.lr_cutoff = value
    with pytest.raises(ValueError, match="lr_cutoff must be a positive number"):
        model(*WATER)


def test_untrained_elements_on_request():
    hyper = hyperparameters(**EVERYTHING)
    model = random_model(hyper)
    model.allow_untrained_elements = True
    assert torch.isfinite(model([3, 1], [[0.0, 0, 0], [1.6, 0, 0]]).energy).all()
    with pytest.raises(ValueError, match="does not know"):
        model([11, 1], [[0.0, 0, 0], [1.6, 0, 0]])
