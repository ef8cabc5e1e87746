"""The PyTorch model against the original JAX code: SO3LR on every reference system."""

import numpy as np
import pytest
import torch
from cases import LARGE_NAMES, NAMES, NO_CUTOFF_NAMES, PARTS, load_case

from openmm_so3krates.model import molecules, neighbor_list

ENERGY = 1e-8  # eV per atom
FORCE = 1e-8  # eV/Å
CHARGE = 1e-9  # e, and for ratios
SIZED_NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in LARGE_NAMES else name for name in NAMES]


def assert_forces(forces, expected):
    assert np.abs(forces - expected).max() < FORCE


def assert_same(model, case, expected):
    """Energies and forces by part, one backward pass for each part."""
    positions = torch.tensor(case.positions, requires_grad=bool(expected.force_parts))
    result = model(case.atomic_numbers, positions, **case.system, create_graph=bool(expected.force_parts))
    assert_forces(result.forces.detach().numpy(), expected.forces)
    assert abs(result.energy.item() - expected.energy) < ENERGY * case.num_atoms
    for part in PARTS:
        energy = result.energy_parts[part]
        assert abs(energy.item() - expected.energy_parts[part]) < ENERGY * case.num_atoms, part
        if expected.force_parts:
            (gradient,) = torch.autograd.grad(energy.sum(), positions, retain_graph=True, materialize_grads=True)
            assert_forces(-gradient.numpy(), expected.force_parts[part])
    return result


@pytest.mark.parametrize("name", SIZED_NAMES)
def test_double(so3lr_double, name):
    case = load_case(name)
    so3lr_double.lr_cutoff = case.lr_cutoff
    so3lr_double.dispersion_switch_width = case.dispersion_switch_width
    result = assert_same(so3lr_double, case, case.double)
    assert np.abs(result.partial_charges.detach().numpy() - case.double.partial_charges).max() < CHARGE
    assert np.abs(result.hirshfeld_ratios.detach().numpy() - case.double.hirshfeld_ratios).max() < CHARGE
    assert np.abs(result.dipole.detach().numpy() - case.double.dipole).max() < CHARGE * case.num_atoms


@pytest.mark.parametrize("name", NO_CUTOFF_NAMES)
def test_without_long_range_cutoff(so3lr_double, name):
    case = load_case(name)
    so3lr_double.lr_cutoff = None
    assert_same(so3lr_double, case, case.no_cutoff)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LARGE_NAMES])
def test_single(so3lr_single, name):
    """At most twice the error of the original code in float32."""
    case = load_case(name)
    so3lr_single.lr_cutoff = case.lr_cutoff
    result = so3lr_single(case.atomic_numbers, case.positions, **case.system)

    def error(values, expected):
        return np.abs(np.asarray(values) - expected).max()

    exact, single = case.double, case.single
    assert error(result.forces, exact.forces) <= 2 * error(single.forces, exact.forces) + 2e-5
    assert error(result.energy, exact.energy) <= 2 * error(single.energy, exact.energy) + 1e-6 * case.num_atoms
    for key in ("partial_charges", "hirshfeld_ratios"):
        exact_values = getattr(exact, key)
        assert error(getattr(result, key), exact_values) <= 2 * error(getattr(single, key), exact_values) + 1e-5


@pytest.mark.parametrize("name", ["water", "methyl_radical"])
def test_features_of_every_layer(so3lr_double, name):
    case = load_case(name)
    so3lr_double.lr_cutoff = case.lr_cutoff
    result = so3lr_double(case.atomic_numbers, case.positions, **case.system, features=True)
    assert len(result.features) == 4
    for (x, ev), expected_x, expected_ev in zip(result.features, case.x, case.ev, strict=True):
        assert np.abs(x.numpy() - expected_x).max() < 1e-9
        assert np.abs(ev.numpy() - expected_ev).max() < 1e-9


@pytest.mark.parametrize("name", SIZED_NAMES)
def test_neighbor_lists(name):
    case = load_case(name)
    batch = molecules(case.atomic_numbers, case.positions, cell=case.cell)
    short = neighbor_list(batch, 4.5)
    assert len(short.receivers) == case.num_edges_short
    assert len(neighbor_list(batch, case.lr_cutoff).receivers) == case.num_edges_long
    if case.edges is not None:
        receivers, senders, shifts = case.edges
        expected = sorted(zip(receivers.tolist(), senders.tolist(), map(tuple, shifts.tolist()), strict=True))
        found = zip(short.receivers.tolist(), short.senders.tolist(), map(tuple, short.shifts.tolist()), strict=True)
        assert sorted(found) == expected
