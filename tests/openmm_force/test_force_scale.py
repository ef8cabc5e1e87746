"""Scaled forces: the factor, the Context parameter that changes it, and the derivative by that parameter."""

import math

import numpy as np
import openmm
import pytest
from cases import load_case
from openmm_helpers import EV, case_context, energy_of, forces_of, make_context, make_force, make_system

from openmm_so3krates import SO3kratesForce

PLATFORMS = ["Reference", "CPU"]


@pytest.fixture(scope="module")
def ethanol():
    return load_case("ethanol")


def derivatives_of(context, groups=-1) -> dict[str, float]:
    """kJ/mol by parameter, by an evaluation for nothing else."""
    return dict(context.getState(parameterDerivatives=True, groups=groups).getEnergyParameterDerivatives())


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("scale", [-1, 0.25, 3])
def test_energy_and_forces_are_scaled(so3lr, ethanol, platform, scale):
    plain = case_context(so3lr, ethanol, platform)
    scaled = case_context(so3lr, ethanol, platform, scale=scale)
    assert energy_of(scaled) == scale * energy_of(plain) != 0
    np.testing.assert_allclose(forces_of(scaled), scale * forces_of(plain), rtol=1e-14)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_parameter_multiplies_the_scale(so3lr, ethanol, platform):
    plain = case_context(so3lr, ethanol, platform)
    context = case_context(so3lr, ethanol, platform, scale=2, scale_parameter="lambda_ml", scale_parameter_default=0.25)
    assert context.getParameter("lambda_ml") == 0.25
    for value in (0.25, 1, -0.5, 0, 0.25):
        context.setParameter("lambda_ml", value)
        assert energy_of(context) == pytest.approx(2 * value * energy_of(plain), rel=1e-14)
        np.testing.assert_allclose(forces_of(context), 2 * value * forces_of(plain), rtol=1e-14)


def test_at_zero_nothing_is_computed(so3lr, ethanol):
    """Not even what cannot be: all atoms at one place."""
    context = case_context(so3lr, ethanol, scale_parameter="lambda_ml", scale_parameter_default=0)
    context.setPositions(np.zeros((ethanol.num_atoms, 3)))
    assert energy_of(context) == 0
    assert (forces_of(context) == 0).all()
    context.setParameter("lambda_ml", 1e-9)
    with pytest.raises(openmm.OpenMMException, match="at the same place"):
        energy_of(context)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_a_parameter_that_is_no_factor_is_refused(so3lr, ethanol, value):
    context = case_context(so3lr, ethanol, scale=1e10, scale_parameter="lambda_ml")
    context.setParameter("lambda_ml", value)
    with pytest.raises(openmm.OpenMMException, match=r"parameter 'lambda_ml' is .*must be finite numbers"):
        energy_of(context)


def test_the_scale_changes_in_a_context(so3lr, ethanol):
    system = make_system(ethanol)
    force = make_force(so3lr, ethanol)
    system.addForce(force)
    context = make_context(system, ethanol.positions)
    plain = energy_of(context)
    force.setScale(-2)
    assert energy_of(context) == plain
    force.updateParametersInContext(context)
    assert energy_of(context) == -2 * plain


@pytest.mark.parametrize("platform", PLATFORMS)
def test_derivative_by_the_parameter(so3lr, ethanol, platform):
    """Two forces share the parameter, one has no part in its derivative; also where the energy is 0."""
    system = make_system(ethanol)
    for scale, asked in ((2, True), (-0.5, True), (7, False)):
        force = make_force(so3lr, ethanol, scale=scale, scale_parameter="lambda_ml", precision="double")
        if asked:
            force.addEnergyParameterDerivative("lambda_ml")
        force.setForceGroup(1 if asked else 2)
        system.addForce(force)
    context = make_context(system, ethanol.positions, platform)
    energies = {}
    for value in (0.7 - 1e-3, 0.7 + 1e-3):
        context.setParameter("lambda_ml", value)
        energies[value] = energy_of(context, {1})
    slope = (energies[0.7 + 1e-3] - energies[0.7 - 1e-3]) / 2e-3
    for value in (0.7, 0, 0.7):
        context.setParameter("lambda_ml", value)
        assert derivatives_of(context) == {"lambda_ml": pytest.approx(slope, rel=1e-9)}
    assert slope == pytest.approx(1.5 * ethanol.double.energy * EV, rel=1e-9)
    # The derivative comes with whatever else is asked for.
    state = context.getState(energy=True, forces=True, parameterDerivatives=True)
    assert dict(state.getEnergyParameterDerivatives()) == {"lambda_ml": pytest.approx(slope, rel=1e-9)}


def test_switching_between_two_models(so3lr, ethanol, other_model):
    """(1-lambda) A + lambda B, of scales 1, -1 and 1; its derivative is B - A."""
    system = make_system(ethanol)
    for model, scale, parameter in ((so3lr, 1, None), (so3lr, -1, "lambda_ml"), (other_model, 1, "lambda_ml")):
        force = make_force(model, ethanol, scale=scale, scale_parameter=parameter)
        if parameter:
            force.addEnergyParameterDerivative(parameter)
        system.addForce(force)
    context = make_context(system, ethanol.positions)
    first, second = case_context(so3lr, ethanol), case_context(other_model, ethanol)
    for value in (0, 0.3, 1):
        context.setParameter("lambda_ml", value)
        expected = (1 - value) * energy_of(first) + value * energy_of(second)
        assert energy_of(context) == pytest.approx(expected, abs=1e-9)
        np.testing.assert_allclose(
            forces_of(context), (1 - value) * forces_of(first) + value * forces_of(second), rtol=0, atol=1e-8
        )
        difference = energy_of(second) - energy_of(first)
        assert derivatives_of(context) == {"lambda_ml": pytest.approx(difference, abs=1e-9)}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", ["ethanol", "water_64_triclinic_lr6"])
def test_a_force_and_its_negative_cancel_to_the_bit(so3lr, platform, name):
    case = load_case(name)
    system = make_system(case)
    for scale in (1, -1):
        system.addForce(make_force(so3lr, case, scale=scale))
    context = make_context(system, case.positions, platform)
    assert energy_of(context) == 0
    assert (forces_of(context) == 0).all()


def test_parameter_inside_a_custom_cv_force(so3lr, ethanol):
    """OpenMM hands the parameter on to its inner Context."""
    system = make_system(ethanol)
    mixture = openmm.CustomCVForce("2*energy")
    mixture.addCollectiveVariable("energy", make_force(so3lr, ethanol, scale_parameter="lambda_ml"))
    system.addForce(mixture)
    context = make_context(system, ethanol.positions)
    for value in (1, 0.25):
        context.setParameter("lambda_ml", value)
        assert energy_of(context) / EV == pytest.approx(2 * value * ethanol.double.energy, abs=1e-7)


def test_settings(so3lr):
    force = SO3kratesForce(so3lr, atomic_numbers=[1])
    assert (force.getScale(), force.getScaleParameter(), force.getScaleParameterDefault()) == (1, None, 1)
    assert force.getNumEnergyParameterDerivatives() == 0
    force.setScaleParameter("a", 0.5)
    force.addEnergyParameterDerivative("a")
    force.addEnergyParameterDerivative("a")
    assert force.getNumEnergyParameterDerivatives() == 1
    assert force.getEnergyParameterDerivativeName(0) == "a"
    with pytest.raises(IndexError, match="no derivative 1"):
        force.getEnergyParameterDerivativeName(1)
    force.setScaleParameter("a", 0.25)
    assert force.getNumEnergyParameterDerivatives() == 1
    force.setScaleParameter("b")
    assert (force.getScaleParameter(), force.getScaleParameterDefault()) == ("b", 1)
    assert force.getNumEnergyParameterDerivatives() == 0
    with pytest.raises(ValueError, match="no derivative by 'a'; its scale parameter is 'b'"):
        force.addEnergyParameterDerivative("a")
    force.setScaleParameter(None)
    assert force.getScaleParameter() is None
    with pytest.raises(ValueError, match="no derivative by 'b'; this force has no scale parameter"):
        force.addEnergyParameterDerivative("b")


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"scale": math.nan}, ValueError, "scale must be a finite number"),
        ({"scale": "half"}, TypeError, "scale must be a number"),
        ({"scale": None}, TypeError, "scale must be a number"),
        ({"scale_parameter": ""}, ValueError, "scale_parameter is empty"),
        ({"scale_parameter": 2}, TypeError, "scale_parameter must be the name"),
        ({"scale_parameter": "a", "scale_parameter_default": math.inf}, ValueError, "scale_parameter_default must be"),
    ],
)
def test_refused_settings(so3lr, settings, error, message):
    with pytest.raises(error, match=message):
        SO3kratesForce(so3lr, atomic_numbers=[1], **settings)


def test_two_defaults_of_one_parameter_are_refused(so3lr, ethanol):
    system = make_system(ethanol)
    for default in (0, 1):
        system.addForce(make_force(so3lr, ethanol, scale_parameter="a", scale_parameter_default=default))
    with pytest.raises(openmm.OpenMMException, match="different default values for the parameter 'a'"):
        make_context(system, ethanol.positions)


def test_a_force_of_another_system_is_told(so3lr, ethanol):
    context = case_context(so3lr, ethanol)
    with pytest.raises(openmm.OpenMMException, match=r"not part of the Context's System; use the one"):
        make_force(so3lr, ethanol).updateParametersInContext(context)
    SO3kratesForce(context.getSystem().getForce(0)).updateParametersInContext(context)
