"""The example's spectrum: of dipoles known on paper, and of water against its harmonic frequencies."""

import importlib.util
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app

from openmm_so3krates import Potential, PredictionReporter, SO3kratesForce

SPEED_OF_LIGHT = 0.0299792458  # cm/ps
MASSES = np.array([15.999, 1.008, 1.008])


@pytest.fixture(scope="module")
def example():
    path = Path(__file__).parents[2] / "examples/infrared_spectrum.py"
    spec = importlib.util.spec_from_file_location("infrared_spectrum", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def maximum_near(wavenumbers, absorption, guess, within):
    near = np.flatnonzero(np.abs(wavenumbers - guess) < within)
    return wavenumbers[near[np.argmax(absorption[near])]]


def area_near(wavenumbers, absorption, center, within):
    return absorption[np.abs(wavenumbers - center) < within].sum()


def test_lines_of_known_strength(example):
    """A line's area is the square of amplitude times wavenumber; its width is the resolution."""
    interval, lines = 0.002, {1600.0: 0.3, 3700.0: 0.2}
    times = interval * np.arange(10_000)
    dipoles = np.zeros((len(times), 3))
    for axis, (wavenumber, amplitude) in enumerate(lines.items()):
        dipoles[:, axis + 1] = amplitude * np.cos(2 * np.pi * SPEED_OF_LIGHT * wavenumber * times + axis)
    dipoles += [1.0, 2.0, 3.0] + 0.01 * times[:, None]  # a charged molecule that drifts
    wavenumbers, absorption = example.infrared_spectrum(interval, dipoles, 20.0)
    for wavenumber in lines:
        peak = maximum_near(wavenumbers, absorption, wavenumber, 100)
        assert peak == pytest.approx(wavenumber, abs=1.5)
        height = absorption[np.argmin(np.abs(wavenumbers - peak))]
        half = np.interp(wavenumber + 10, wavenumbers, absorption) / height
        assert half == pytest.approx(0.5, abs=0.03)
    areas = [area_near(wavenumbers, absorption, wavenumber, 100) for wavenumber in lines]
    expected = (0.3 * 1600) ** 2 / (0.2 * 3700) ** 2
    assert areas[0] / areas[1] == pytest.approx(expected, rel=0.02)
    with pytest.raises(ValueError, match=r"resolution of 1 1/cm needs 33\.4 ps, the run has 20 ps"):
        example.infrared_spectrum(interval, dipoles, 1.0)


def test_water_vibrates_at_its_harmonic_frequencies(example, so3lr, tmp_path, capsys):
    """Small vibrations of one molecule without rotation; the integrator's own shift of the frequencies is known."""
    potential = Potential(so3lr, precision="double", lr_cutoff=12.0, threads=1)
    positions = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    positions, modes, frequencies = harmonic_modes(potential, [8, 1, 1], positions)
    timestep = 0.001  # ps
    shifted = 2 / timestep * np.arcsin(2 * np.pi * frequencies * timestep / 2) / (2 * np.pi)

    topology = app.Topology()
    residue = topology.addResidue("HOH", topology.addChain())
    system = openmm.System()
    for symbol, mass in zip("OHH", MASSES, strict=True):
        topology.addAtom(symbol, app.element.get_by_symbol(symbol), residue)
        system.addParticle(mass)
    system.addForce(SO3kratesForce(so3lr, topology, precision="double"))
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology, system, openmm.VerletIntegrator(timestep), platform)
    simulation.context.setPositions((positions + 0.002 * modes.sum(axis=0)) / 10)
    simulation.reporters.append(PredictionReporter(tmp_path / "predictions.csv", 2))
    simulation.step(1500)

    assert example.main([str(tmp_path / "predictions.csv"), "--resolution", "25"]) == 0
    assert "infrared.png" in capsys.readouterr().out and (tmp_path / "infrared.png").stat().st_size > 1000
    wavenumbers, absorption = np.genfromtxt(tmp_path / "infrared.csv", delimiter=",", skip_header=1).T
    assert wavenumbers[-1] <= 4500
    for frequency in shifted / SPEED_OF_LIGHT:
        assert maximum_near(wavenumbers, absorption, frequency, 40) == pytest.approx(frequency, abs=5)
    lines = sum(area_near(wavenumbers, absorption, frequency, 40) for frequency in shifted / SPEED_OF_LIGHT)
    assert lines > 0.98 * absorption.sum()  # and at nothing else


def harmonic_modes(potential, atomic_numbers, positions):
    """Positions (Å) of the minimum, the vibrations' unit displacements (modes, N, 3) and frequencies (1/ps)."""

    def forces(x):
        return potential.compute(atomic_numbers, x.reshape(-1, 3)).forces.ravel()

    def hessian(x):
        steps = 1e-4 * np.eye(x.size)
        return -np.array([forces(x + step) - forces(x - step) for step in steps]) / 2e-4

    x = positions.ravel().astype(float)
    for _ in range(8):
        x = x + np.linalg.pinv(hessian(x), rcond=1e-3, hermitian=True) @ forces(x)  # Newton, without rotations
    assert np.abs(forces(x)).max() < 1e-8
    root = np.repeat(np.sqrt(MASSES), 3)
    values, vectors = np.linalg.eigh(hessian(x) / np.outer(root, root))  # eV/Å²/dalton
    values, vectors = values[-3:], vectors[:, -3:].T / root
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    to_per_ps2 = 96.48533212331 * 100  # eV/Å²/dalton -> 1/ps²
    return x.reshape(-1, 3), vectors.reshape(3, -1, 3), np.sqrt(values * to_per_ps2) / (2 * np.pi)


def test_refused_files(example, tmp_path, capsys):
    path = tmp_path / "predictions.csv"
    path.write_text("step,time_ps\n" + "1,2\n" * 20)
    assert example.main([str(path)]) == 2
    assert "does not hold dipoles" in capsys.readouterr().err
    rows = "".join(f"{step},{0.001 * step**1.1:.6f},0,0,0\n" for step in range(20))
    path.write_text("step,time_ps,dipole_x_e_nm,dipole_y_e_nm,dipole_z_e_nm\n" + rows)
    assert example.main([str(path)]) == 2
    assert "not evenly spaced" in capsys.readouterr().err
    assert example.main([str(tmp_path / "none.csv")]) == 2
