"""The engine against PyTorch in double precision, for random models of many shapes."""

import numpy as np
import pytest
import torch
from cases import PARTS
from random_models import VARIATIONS, hyperparameters, random_box, random_model, random_molecule

from openmm_so3krates import Potential

SYSTEMS = {
    "molecule": random_molecule(1),
    "atoms without neighbors": random_molecule(2, num_atoms=6, size=12.0, min_distance=3.0),
    "box": random_box(2),
}


def assert_close(values, expected, bound):
    """Largest difference relative to the largest value (at least 1)."""
    values, expected = np.asarray(values), np.asarray(expected)
    assert np.abs(values - expected).max(initial=0.0) < bound * max(1.0, np.abs(expected).max(initial=0.0))


def assert_same(result, expected, bound):
    assert_close(result.energy, expected.energy[0], bound)
    for part in PARTS:
        assert_close(result.energy_parts[part], expected.energy_parts[part][0], bound)
    assert_close(result.forces, expected.forces, bound)
    assert_close(result.virial, expected.virial[0], bound)
    assert_close(result.partial_charges, expected.partial_charges, bound)
    assert_close(result.hirshfeld_ratios, expected.hirshfeld_ratios, bound)
    assert_close(result.dipole, expected.dipole[0], bound)


@pytest.mark.parametrize("kind", SYSTEMS)
@pytest.mark.parametrize("variation", VARIATIONS)
def test_double(engine_of, variation, kind):
    model, system = random_model(hyperparameters(**VARIATIONS[variation])), SYSTEMS[kind]
    expected = model(system.atomic_numbers, system.positions, **system.call, virial=True)
    result = engine_of(model).compute(system.atomic_numbers, system.positions, **system.call, virial=True)
    assert_same(result, expected, 1e-10)


@pytest.mark.parametrize("kind", SYSTEMS)
@pytest.mark.parametrize("variation", VARIATIONS)
def test_single(engine_of, variation, kind):
    """Random models and crowded atoms: a coarse bound, which a wrong term would still break."""
    model, system = random_model(hyperparameters(**VARIATIONS[variation])), SYSTEMS[kind]
    expected = model(system.atomic_numbers, system.positions, **system.call, virial=True)
    potential = engine_of(model, precision="single")
    result = potential.compute(system.atomic_numbers, system.positions, **system.call, virial=True)
    assert_same(result, expected, 2e-4)


@pytest.mark.parametrize(
    "variation", ["everything", "everything, from the neighborhood", "electrostatics", "dispersion", "base"]
)
def test_without_long_range_cutoff(engine_of, variation):
    model, system = random_model(hyperparameters(**VARIATIONS[variation])), SYSTEMS["atoms without neighbors"]
    model.lr_cutoff = None
    expected = model(system.atomic_numbers, system.positions, **system.call, virial=True)
    result = engine_of(model).compute(system.atomic_numbers, system.positions, **system.call, virial=True)
    assert_same(result, expected, 1e-10)


@pytest.mark.parametrize("width", [0.7, 7.5])
def test_other_long_range_settings_than_the_models(engine_of, width):
    """A switch wider than the cutoff fades dispersion at every distance."""
    model, system = random_model(hyperparameters(**VARIATIONS["everything"])), SYSTEMS["box"]
    potential = engine_of(model, lr_cutoff=5.2, dispersion_switch_width=width)
    model.lr_cutoff, model.dispersion_switch_width = 5.2, width
    expected = model(system.atomic_numbers, system.positions, **system.call, virial=True)
    result = potential.compute(system.atomic_numbers, system.positions, **system.call, virial=True)
    assert_same(result, expected, 1e-10)


@pytest.mark.parametrize("charge, spin", [(0.0, 0.0), (2.0, 0.0), (-1.5, 1.0), (0.3, 2.0)])
def test_charge_and_spin(engine_of, charge, spin):
    model, system = random_model(hyperparameters(**VARIATIONS["everything"])), SYSTEMS["box"]
    call = {"cell": system.cell, "charge": charge, "spin": spin, "virial": True}
    expected = model(system.atomic_numbers, system.positions, **call)
    assert_same(engine_of(model).compute(system.atomic_numbers, system.positions, **call), expected, 1e-10)


def test_untrained_elements_on_request(engine_of):
    """Lithium has a row between the trained elements; a model file may hold further rows as well."""
    model = random_model(hyperparameters(**VARIATIONS["everything"]))
    model.allow_untrained_elements = True
    system = SYSTEMS["molecule"]
    numbers = np.where(system.atomic_numbers == 1, 3, system.atomic_numbers)
    assert (numbers == 3).any()
    expected = model(numbers, system.positions, **system.call, virial=True)
    potential = engine_of(model, allow_untrained_elements=True)
    assert_same(potential.compute(numbers, system.positions, **system.call, virial=True), expected, 1e-10)


@pytest.mark.parametrize(
    ("steeper", "implementation"),
    [(1, "128 intervals"), (20, "128 intervals"), (40, "256 intervals"), (160, "1024 intervals"), (400, "networks")],
)
def test_radial_grids_follow_the_networks(steeper, implementation, tmp_path):
    """Steeper networks get more intervals, and wide ones only where nobody notices."""
    model = random_model(hyperparameters(), 3)
    with torch.no_grad():
        for layer in model.layers:
            for filters in (layer.attention.filter_x, layer.attention.filter_ev):
                filters.radial[0].weight *= steeper
    model.save(tmp_path / "steep.safetensors", {})
    single, double = (Potential(tmp_path / "steep.safetensors", precision=p) for p in ("single", "double"))
    assert implementation in single.implementation
    system = random_molecule(3, 9)
    ours, exact = (p.compute(system.atomic_numbers, system.positions).forces for p in (single, double))
    assert np.abs(ours - exact).max() < 1e-5 * np.abs(exact).max()
