"""Every choice of hyperparameters runs, has the right forces and the right symmetries."""

import numpy as np
import pytest
import torch
from random_models import (
    VARIATIONS,
    hyperparameters,
    random_box,
    random_model,
    random_molecule,
    random_rotation,
)

from openmm_so3krates.model.spherical_harmonics import spherical_harmonics

STEP = 3e-4  # Å, or strain
SYSTEMS = {"molecule": random_molecule(1), "box": random_box(2)}

every_variation = pytest.mark.parametrize("variation", VARIATIONS)


def model_of(variation):
    return random_model(hyperparameters(**VARIATIONS[variation]))


def copies(system, positions, cells=None):
    """One batch of copies of the system with these positions (B, N, 3), so that one call computes them all."""
    b, n = positions.shape[:2]
    if cells is None and system.cell is not None:
        cells = np.broadcast_to(system.cell, (b, 3, 3))
    return {
        "atomic_numbers": np.tile(system.atomic_numbers, b),
        "positions": positions.reshape(-1, 3),
        "molecule": np.repeat(np.arange(b), n),
        "cell": cells,
        "charge": system.charge,
        "spin": system.spin,
    }


def central_differences(energy, size):
    """Derivatives from fourth-order differences; energy(displacements (B, size)) returns (B,)."""
    unit = STEP * np.eye(size)
    e = energy(np.concatenate([unit, -unit, 2 * unit, -2 * unit])).reshape(4, size)
    return (8 * (e[0] - e[1]) - (e[2] - e[3])) / (12 * STEP)


@every_variation
@pytest.mark.parametrize("kind", SYSTEMS)
def test_forces_are_finite_differences(variation, kind):
    model, system = model_of(variation), SYSTEMS[kind]
    forces = model(system.atomic_numbers, system.positions, **system.call).forces.numpy()
    assert np.abs(forces).max() > 1e-3

    def energy(displacements):
        positions = system.positions + displacements.reshape(-1, *system.positions.shape)
        return model(**copies(system, positions), forces=False).energy.detach().numpy()

    expected = -central_differences(energy, forces.size).reshape(forces.shape)
    assert_close(forces, expected, 1e-8)


@every_variation
def test_virial_is_finite_strain(variation):
    model, system = model_of(variation), SYSTEMS["box"]
    virial = model(system.atomic_numbers, system.positions, **system.call, virial=True).virial[0].numpy()

    def energy(strains):  # nine independent components: their rotation changes nothing
        deformations = np.eye(3) + strains.reshape(-1, 3, 3)
        batch = copies(system, system.positions @ deformations, system.cell @ deformations)
        return model(**batch, forces=False).energy.detach().numpy()

    assert_close(virial, -central_differences(energy, 9).reshape(3, 3), 1e-8)


@every_variation
@pytest.mark.parametrize("reflect", [False, True])
def test_rotation(variation, reflect):
    """Energies do not change, forces, dipoles and Euclidean variables turn with the molecule."""
    model, system = model_of(variation), SYSTEMS["molecule"]
    rotation = random_rotation(3, reflect)
    before = model(system.atomic_numbers, system.positions, **system.call, features=True)
    after = model(system.atomic_numbers, system.positions @ rotation.T, **system.call, features=True)
    assert_close(after.energy, before.energy)
    assert_close(after.forces, before.forces.numpy() @ rotation.T)
    assert_close(after.dipole, before.dipole.numpy() @ rotation.T)
    degrees = model.hyperparameters.degrees
    wigner = wigner_matrix(rotation, degrees)
    for (x, ev), (rotated_x, rotated_ev) in zip(before.features, after.features, strict=True):
        assert_close(rotated_x, x)
        assert_close(rotated_ev, ev.numpy() @ wigner.T)


def wigner_matrix(rotation, degrees):
    """The matrix D with Y(R u) = D Y(u) for the spherical harmonics, fitted degree by degree on many directions."""
    u = np.random.default_rng(0).normal(size=(100, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    blocks = []
    for degree in degrees:
        y, rotated = (spherical_harmonics(torch.tensor(v), (degree,)).numpy() for v in (u, u @ rotation.T))
        block, residual, _, _ = np.linalg.lstsq(y, rotated, rcond=None)
        assert (residual < 1e-20).all()
        blocks.append(block.T)
    size = sum(len(block) for block in blocks)
    matrix, start = np.zeros((size, size)), 0
    for block in blocks:
        end = start + len(block)
        matrix[start:end, start:end] = block
        start = end
    return matrix


@every_variation
def test_translation(variation):
    model, system = model_of(variation), SYSTEMS["box"]
    before = model(system.atomic_numbers, system.positions, **system.call)
    after = model(system.atomic_numbers, system.positions + np.array([500.0, -311.0, 7.0]), **system.call)
    assert_close(after.energy, before.energy, 1e-9)
    assert_close(after.forces, before.forces, 1e-9)


@every_variation
def test_permutation(variation):
    model, system = model_of(variation), SYSTEMS["box"]
    order = np.random.default_rng(4).permutation(len(system.positions))
    before = model(system.atomic_numbers, system.positions, **system.call)
    after = model(system.atomic_numbers[order], system.positions[order], **system.call)
    assert_close(after.energy, before.energy)
    assert_close(after.forces, before.forces[order])
    assert_close(after.partial_charges, before.partial_charges[order])
    assert_close(after.hirshfeld_ratios, before.hirshfeld_ratios[order])


@every_variation
def test_training_on_forces(variation):
    """The gradient of a loss on energy and forces with respect to all parameters, along one random direction."""
    model, system = model_of(variation), SYSTEMS["molecule"]
    rng = torch.Generator().manual_seed(5)
    weights = torch.randn(len(system.positions), 3, generator=rng, dtype=torch.float64)
    parameters = list(model.parameters())
    direction = [torch.randn(p.shape, generator=rng, dtype=torch.float64) for p in parameters]

    def loss():
        result = model(system.atomic_numbers, system.positions, **system.call, create_graph=True)
        return result.energy.sum() + (weights * result.forces).sum()

    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True, materialize_grads=True)
    slope = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True)).item()
    step, ends = 1e-6, []
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p += sign * step * d
        ends.append(loss().item())
    expected = (ends[0] - ends[1]) / (2 * step)
    assert abs(slope - expected) < 1e-5 * max(1.0, abs(slope))


def assert_close(values, expected, bound=1e-10):
    """Largest difference relative to the largest value (at least 1)."""
    values, expected = np.asarray(values), np.asarray(expected)
    assert np.abs(values - expected).max(initial=0.0) < bound * max(1.0, np.abs(expected).max(initial=0.0))
