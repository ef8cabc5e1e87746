"""SO3kratesForce under OpenMM's integrators and barostats, in several Contexts, and its conservation of energy."""

import gc
import importlib.util
import os
import threading
from pathlib import Path

import numpy as np
import openmm
import pytest
from cases import load_case
from openmm import unit
from openmm_helpers import (
    box_of,
    case_context,
    energy_of,
    forces_of,
    make_context,
    make_force,
    make_system,
    positions_of,
)

PLATFORMS = ["Reference", "CPU"]
STEP = 0.0005  # ps


def integrators():
    langevin = openmm.LangevinMiddleIntegrator(300, 10, STEP)
    langevin.setRandomNumberSeed(1)
    return {
        "Verlet": openmm.VerletIntegrator(STEP),
        "LangevinMiddle": langevin,
        "NoseHoover": openmm.NoseHooverIntegrator(300, 10, STEP),
    }


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", ["Verlet", "LangevinMiddle", "NoseHoover"])
def test_integrators(so3lr, platform, name):
    """The molecule stays whole, and what the Context holds afterwards is what a new one computes."""
    case = load_case("ethanol")
    context = case_context(so3lr, case, platform, integrators()[name])
    context.setVelocitiesToTemperature(300, 1)
    start = positions_of(context)
    context.getIntegrator().step(200)
    positions = positions_of(context)
    distances = [np.linalg.norm(x[:, None] - x, axis=-1) for x in (start, positions)]
    assert 1e-3 < np.abs(distances[1] - distances[0]).max() < 0.2
    fresh = case_context(so3lr, case, platform)
    fresh.setPositions(positions)
    assert energy_of(context) == pytest.approx(energy_of(fresh), rel=1e-9)
    np.testing.assert_allclose(forces_of(context), forces_of(fresh), rtol=0, atol=1e-6)


BAROSTATS = {
    "isotropic": lambda: openmm.MonteCarloBarostat(1, 300, 2),
    "anisotropic": lambda: openmm.MonteCarloAnisotropicBarostat([1, 1, 1] * unit.bar, 300, True, True, True, 2),
    "flexible": lambda: openmm.MonteCarloFlexibleBarostat(1, 300, 2),
}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    "kind, name",
    [
        ("isotropic", "water_8_smallcell"),
        ("anisotropic", "water_8_smallcell"),
        ("isotropic", "water_64_triclinic_lr6"),
        ("flexible", "water_64_triclinic_lr6"),
    ],
)
def test_barostats(so3lr, platform, kind, name):
    """The box changes, and what the Context holds afterwards is what a new one computes."""
    case = load_case(name)
    settings = {"lr_cutoff": 0.6}
    system = make_system(case)
    force = make_force(so3lr, case, **settings)
    system.addForce(force)
    barostat = BAROSTATS[kind]()
    barostat.setRandomNumberSeed(3)
    system.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(300, 10, STEP)
    integrator.setRandomNumberSeed(1)
    context = make_context(system, case.positions, platform, integrator)
    context.setVelocitiesToTemperature(300, 1)
    integrator.step(20)
    box, positions = box_of(context), positions_of(context)
    assert np.abs(box - case.cell / 10).max() > 1e-4
    fresh = case_context(so3lr, case, platform, **settings)
    fresh.setPeriodicBoxVectors(*box)
    fresh.setPositions(positions)
    assert energy_of(context) == pytest.approx(energy_of(fresh), rel=1e-9)
    np.testing.assert_allclose(forces_of(context), forces_of(fresh), rtol=0, atol=1e-6)


def test_minimisation(so3lr):
    case = load_case("ethanol")
    context = case_context(so3lr, case, "CPU")
    before = energy_of(context)
    openmm.LocalEnergyMinimizer.minimize(context, 10)
    assert energy_of(context) < before
    assert np.sqrt(np.mean(forces_of(context) ** 2)) < 10


@pytest.mark.parametrize("platform", PLATFORMS)
def test_reinitialize(so3lr, platform):
    case = load_case("acetate")
    system = make_system(case)
    force = make_force(so3lr, case)
    system.addForce(force)
    context = make_context(system, case.positions, platform)
    energy = energy_of(context)
    context.reinitialize(preserveState=True)
    assert energy_of(context) == energy
    force.setCharge(0)
    context.reinitialize(preserveState=True)
    assert energy_of(context) != energy


@pytest.mark.parametrize("platform", PLATFORMS)
def test_checkpoints(so3lr, platform):
    """A run continued from a checkpoint gives the same bits as one that was not interrupted."""
    case = load_case("ethanol")
    context = case_context(so3lr, case, platform, integrators()["LangevinMiddle"])
    context.setVelocitiesToTemperature(300, 1)
    integrator = context.getIntegrator()
    integrator.step(10)
    checkpoint = context.createCheckpoint()
    integrator.step(20)
    expected = positions_of(context)
    context.loadCheckpoint(checkpoint)
    integrator.step(20)
    np.testing.assert_array_equal(positions_of(context), expected)


def test_two_contexts_in_two_threads(so3lr):
    names = ["ethanol", "water_64_lr6"]
    cases = [load_case(name) for name in names]
    expected = [forces_of(case_context(so3lr, case, "CPU")) for case in cases]
    contexts = [case_context(so3lr, case, "CPU") for case in cases]
    wrong = []

    def compute(index):
        for _ in range(10):
            contexts[index].setPositions(cases[index].positions / 10)
            if not np.array_equal(forces_of(contexts[index]), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=compute, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_no_leak(so3lr):
    """Forces, copies, Systems and Contexts leave nothing behind: the model alone is over 2 MB."""
    case = load_case("water")

    def cycle():
        system = make_system(case)
        system.addForce(make_force(so3lr, case, embed_model=True))
        context = make_context(openmm.XmlSerializer.clone(system), case.positions, "CPU")
        energy_of(context)

    def memory_after(cycles):
        for _ in range(cycles):
            cycle()
        gc.collect()
        return resident_bytes()

    start = memory_after(10)
    assert memory_after(20) - start < 10e6


def energy_drift():
    path = Path(__file__).parents[2] / "benchmarks" / "energy_drift.py"
    spec = importlib.util.spec_from_file_location("energy_drift", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_energy_conservation(so3lr):
    """NVE of Ac-Ala3-NHMe at 300 K in single precision; over 20 ps the drift must stay below the rms fluctuation."""
    case = load_case("ac_ala3_nhme")
    drift = energy_drift()
    report = drift.measure(so3lr, case.atomic_numbers, case.positions, time=5, equilibration=0.5)
    assert report["temperature_K"] == pytest.approx(300, abs=100)
    # In 5 ps the slope is known to about 0.3 fluctuations per 20 ps; forces that are not the gradient by
    # 1e-3 eV/Å give ten or more.
    over_20_ps = abs(report["drift_kJ_per_mol_ps"]) * 20
    uncertainty = report["drift_uncertainty_kJ_per_mol_ps"] * 20
    assert over_20_ps < report["rms_fluctuation_kJ_per_mol"] + 3 * uncertainty
