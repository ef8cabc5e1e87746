"""The same results from the kernels of every instruction set, and from those compiled for SO3LR's shape alone."""

import numpy as np
import pytest
from cases import load_case

from openmm_so3krates import Potential

ARCHITECTURES = ("baseline", "avx2", "avx512")


@pytest.fixture(params=ARCHITECTURES)
def architecture(request, monkeypatch, so3lr):
    monkeypatch.setenv("SO3KRATES_CPU_ARCH", request.param)
    if f"CPU {request.param} " not in Potential(so3lr, threads=1).implementation:
        pytest.skip(f"this processor has no {request.param}")
    return request.param


def error(values, expected):
    return np.abs(np.asarray(values) - np.asarray(expected)).max()


@pytest.mark.parametrize("shape", ["so3lr", "any"])
@pytest.mark.parametrize("name", ["ethanol", "acetate", "water_8_smallcell", "pair_0p3A_CH"])
def test_single(architecture, shape, name, so3lr, monkeypatch):
    monkeypatch.setenv("SO3KRATES_CPU_SHAPE", shape)
    case = load_case(name)
    potential = Potential(
        so3lr, lr_cutoff=case.lr_cutoff, dispersion_switch_width=case.dispersion_switch_width, threads=1
    )
    special = "SO3LR's shape" in potential.implementation
    assert special == (shape == "so3lr" and architecture != "baseline")
    result = potential.compute(case.atomic_numbers, case.positions, **case.system)
    exact, single = case.double, case.single
    assert error(result.forces, exact.forces) <= 2 * error(single.forces, exact.forces) + 2e-5
    assert error(result.energy, exact.energy) <= 2 * error(single.energy, exact.energy) + 1e-6 * case.num_atoms


@pytest.mark.parametrize("name", ["ethanol", "water_8_smallcell"])
def test_double(architecture, name, so3lr):
    case = load_case(name)
    potential = Potential(
        so3lr,
        precision="double",
        lr_cutoff=case.lr_cutoff,
        dispersion_switch_width=case.dispersion_switch_width,
        threads=1,
    )
    assert "SO3LR's shape" not in potential.implementation
    result = potential.compute(case.atomic_numbers, case.positions, **case.system)
    assert error(result.forces, case.double.forces) < 1e-9


def large_batch():
    """Two molecules of more than 300 atoms each in turned order, one of them periodic, and a small one between."""
    rng = np.random.default_rng(7)
    case = load_case("water_512")
    numbers, positions = case.atomic_numbers[:300], np.asarray(case.positions)[:300]
    turned = rng.permutation(300)
    small = load_case("acetate")
    return {
        "atomic_numbers": np.concatenate([numbers, small.atomic_numbers, numbers[turned]]),
        "positions": np.concatenate([positions, small.positions, positions[turned]]),
        "offsets": np.array([0, 300, 300 + small.num_atoms, 600 + small.num_atoms]),
        "cells": np.array([40 * np.eye(3), np.zeros((3, 3)), 40 * np.eye(3)]),
        "charges": [0.0, small.charge, 0.0],
    }, turned


def test_large_systems_in_any_order_of_atoms(so3lr):
    """Large systems are computed in spatial order; the caller sees nothing of it."""
    batch, turned = large_batch()
    potential = Potential(so3lr, precision="double", threads=2)
    result = potential.compute_batch(**batch, virial=True)
    last = slice(len(batch["atomic_numbers"]) - 300, None)
    for values in (result.forces, result.partial_charges, result.hirshfeld_ratios):
        assert error(values[last], values[:300][turned]) < 1e-10
    assert error(result.virials[2], result.virials[0]) < 1e-8
    alone = potential.compute(
        batch["atomic_numbers"][300:-300], batch["positions"][300:-300], charge=batch["charges"][1], virial=True
    )
    assert error(result.forces[300:-300], alone.forces) < 1e-10
    assert error(result.virials[1], alone.virial) < 1e-10


def test_errors_name_the_callers_atoms(so3lr):
    batch, _ = large_batch()
    batch["positions"][431] = batch["positions"][560]
    with pytest.raises(ValueError, match="atoms 431 and 560 "):
        Potential(so3lr, threads=1).compute_batch(**batch)
