"""The model's building blocks against independent expressions."""

import math

import numpy as np
import pytest
import scipy.special
import torch
from random_models import hyperparameters

from openmm_so3krates.hyperparameters import CUTOFF_FUNCTIONS
from openmm_so3krates.model.cutoff import cutoff_function, switch_function
from openmm_so3krates.model.electrostatics import electrostatic_energy
from openmm_so3krates.model.radial_basis import radial_basis
from openmm_so3krates.model.spherical_harmonics import contract, expand, spherical_harmonics

R_C = 3.5


def derivative(function, x):
    x = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(function(x).sum(), x)[0].numpy()


@pytest.mark.parametrize("degree", range(5))
def test_spherical_harmonics_are_scipys(degree):
    u = np.random.default_rng(0).normal(size=(200, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    polar, azimuth = np.arccos(u[:, 2]), np.arctan2(u[:, 1], u[:, 0])
    values = spherical_harmonics(torch.tensor(u), (degree,)).numpy()
    for m in range(-degree, degree + 1):
        complex_y = scipy.special.sph_harm_y(degree, abs(m), polar, azimuth) * (-1) ** m
        expected = complex_y.real if m == 0 else math.sqrt(2) * (complex_y.imag if m < 0 else complex_y.real)
        assert np.abs(values[:, degree + m] - expected).max() < 1e-14


def test_contraction_and_expansion():
    ev = torch.arange(1.0, 10.0, dtype=torch.float64).reshape(1, 9)
    assert torch.allclose(
        contract(ev, (0, 1, 2)),
        torch.tensor([[1.0, (4 + 9 + 16) / math.sqrt(3), (25 + 36 + 49 + 64 + 81) / math.sqrt(5)]]).double(),
    )
    assert expand(torch.tensor([[1.0, 2.0]]), (0, 1)).tolist() == [[1.0, 2.0, 2.0, 2.0]]


@pytest.mark.parametrize("num_functions", [2, 7, 32, 300])
def test_bernstein_basis_is_the_binomial_distribution(num_functions):
    basis = radial_basis(hyperparameters(num_radial_basis=num_functions))
    d = np.linspace(0.05, 5, 50)
    expected = scipy.stats.binom.pmf(
        np.arange(num_functions), num_functions - 1, np.exp(-0.9448630809783936 * d)[:, None]
    )
    assert np.abs(basis(torch.tensor(d)).numpy() - expected).max() < 1e-12
    single = basis.float()(torch.tensor(d, dtype=torch.float32)).numpy()
    assert single.dtype == np.float32
    assert np.abs(single - expected).max() < 1e-5


def test_gaussian_basis():
    basis = radial_basis(hyperparameters(radial_basis="gaussian", num_radial_basis=8)).double()
    d, centers, width = np.linspace(0.1, 4, 20), np.linspace(0, R_C, 8), R_C / 7
    expected = np.exp(-((d[:, None] - centers) ** 2) / (2 * width**2))
    assert np.abs(basis(torch.tensor(d)).detach().numpy() - expected).max() < 1e-6  # centers start in float32


def test_physnet_basis():
    basis = radial_basis(hyperparameters(radial_basis="physnet", num_radial_basis=8)).double()
    d, offsets = np.linspace(0.1, 4, 20), np.linspace(math.exp(-R_C), 1, 8)
    beta = ((2 / 8) * (1 - math.exp(-R_C))) ** -2
    expected = np.exp(-beta * (np.exp(-d)[:, None] - offsets) ** 2)
    assert np.abs(basis(torch.tensor(d)).numpy() - expected).max() < 1e-14


@pytest.mark.parametrize("first", [0, 1])
def test_bessel_basis(first):
    basis = radial_basis(hyperparameters(radial_basis="bessel", num_radial_basis=8, bessel_first=first)).double()
    d = np.linspace(0.1, 4, 20)[:, None]
    expected = np.sin(np.pi * np.arange(first, first + 8) * d / R_C) / d
    assert np.abs(basis(torch.tensor(d[:, 0])).numpy() - expected).max() < 1e-14


@pytest.mark.parametrize("function", CUTOFF_FUNCTIONS)
@pytest.mark.parametrize("p", [2, 3, 6, 9])
def test_cutoff_functions(function, p):
    hyper = hyperparameters(cutoff_function=function, cutoff_exponent=p)
    d = np.concatenate([np.linspace(0, R_C, 300)[:-1], [R_C, R_C + 1e-9, 4.0, 50.0]])
    x = np.minimum(d / R_C, 1 - 1e-16)
    expected = {
        "phys": 1 - 10 * x**3 + 15 * x**4 - 6 * x**5,
        "cosine": 0.5 * (np.cos(np.pi * x) + 1),
        "polynomial": 1 - (p + 1) * (p + 2) / 2 * x**p + p * (p + 2) * x ** (p + 1) - p * (p + 1) / 2 * x ** (p + 2),
        "exponential": np.exp(-((x * R_C) ** 2) / ((R_C - x * R_C) * (R_C + x * R_C))),
    }[function]
    expected[d >= R_C] = 0
    values = cutoff_function(torch.tensor(d), hyper).numpy()
    assert np.abs(values - expected).max() < 1e-13
    slopes = derivative(lambda r: cutoff_function(r, hyper), d)
    assert np.isfinite(slopes).all()
    assert (slopes[d >= R_C] == 0).all()
    assert np.abs(slopes[298:]).max() < 0.03


def test_switch_function():
    def s(x):
        return math.exp(-1 / x) if x > 0 else 0.0

    d = np.concatenate([np.linspace(0, 4, 401), [2.5 - 1e-12, 1.0 + 1e-12]])
    c = (d - 1.0) / 1.5
    expected = [s(1 - v) / (s(1 - v) + s(v)) for v in c]
    assert np.abs(switch_function(torch.tensor(d), 1.0, 2.5).numpy() - expected).max() < 1e-14
    assert np.isfinite(derivative(lambda r: switch_function(r, 1.0, 2.5), d)).all()


def test_electrostatics_end_smoothly_at_the_cutoff():
    one = torch.ones(3, dtype=torch.float64)

    def energy(r):
        return electrostatic_energy(one, one, r, 4.0, 12.0)

    r = [12 - 1e-6, 12.0, 13.0]
    assert np.abs(energy(torch.tensor(r, dtype=torch.float64)).numpy()).max() < 1e-12
    assert np.abs(derivative(energy, r)).max() < 1e-7


def test_electrostatics_of_distant_charges_are_coulombs():
    one, r = torch.ones(1, dtype=torch.float64), torch.tensor([50.0], dtype=torch.float64)
    assert 2 * electrostatic_energy(one, -one, r, 4.0, None).item() == pytest.approx(
        -14.399645351950548 / 50, rel=1e-14
    )
