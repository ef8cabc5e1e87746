"""Whole runs with springs for a model, checked against what springs and statistics say."""

import csv
import json
import re

import mdtraj
import numpy as np
import openmm
import pytest
from openmm import app

GAS_CONSTANT = 8.31446261815324e-3  # kJ/mol/K


def read_csv(path) -> dict[str, np.ndarray]:
    with open(path) as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def read_json(path) -> dict:
    return json.loads(path.read_text())


def superposed_distance(mobile, target) -> float:
    """Root mean square distance after Kabsch's superposition."""
    mobile, target = mobile - mobile.mean(axis=0), target - target.mean(axis=0)
    left, singular, right = np.linalg.svd(mobile.T @ target)
    singular[-1] *= np.sign(np.linalg.det(left @ right))
    return np.sqrt(max(0, (mobile**2).sum() + (target**2).sum() - 2 * singular.sum()) / len(mobile))


@pytest.fixture
def water_box(tmp_path):
    rng = np.random.default_rng(2)
    lines = []
    for x in range(2):
        for y in range(2):
            for z in range(2):
                origin = np.array([x, y, z]) * 4.0
                rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
                for element, offset in (("O", (0, 0, 0)), ("H", (1.1, 0, 0)), ("H", (-0.3, 1.05, 0))):
                    lines.append(f"{element} " + " ".join(f"{v:.5f}" for v in origin + rotation @ offset))
    path = tmp_path / "water.xyz"
    path.write_text(f'{len(lines)}\nLattice="8 0 0 0 8 0 0 0 8"\n' + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
@pytest.mark.parametrize("suffix", ["dcd", "xtc"])
def test_output_against_independent_numbers(md, springs, peptide, tmp_path, ensemble, suffix):
    folder = tmp_path / "run"
    status, out, err = md(
        peptide, "--output", folder, "--time", "50fs", "--save-every", "5fs", "--ensemble", ensemble,
        "--format", suffix, "--seed", 11, "--temperature", "250K", "--minimize-tolerance", 1,
    )  # fmt: skip
    assert status == 0, err
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "input.pdb", "minimized.pdb", "checkpoint.npz", f"trajectory.{suffix}", "log.csv", "final.pdb",
        "summary.json", "plots.png", ".lock",
    }  # fmt: skip
    log = read_csv(folder / "log.csv")
    np.testing.assert_array_equal(log["step"], np.arange(0, 101, 10))
    np.testing.assert_allclose(log["time_ps"], np.arange(11) * 0.005)
    topology = app.PDBFile(str(peptide)).topology
    trajectory = mdtraj.load(str(folder / f"trajectory.{suffix}"), top=mdtraj.Topology.from_openmm(topology))
    assert len(trajectory) == 11
    tolerance = 0.01 if suffix == "dcd" else 8.0  # kJ/mol, of positions in float32 and rounded to 0.001 nm
    energies = springs.springs_energy(topology, trajectory.xyz.astype(float))
    np.testing.assert_allclose(log["potential_kJ_per_mol"], energies, atol=tolerance)
    assert log["potential_kJ_per_mol"][0] < 0.01  # minimised: springs are at rest
    np.testing.assert_allclose(
        log["total_kJ_per_mol"], log["potential_kJ_per_mol"] + log["kinetic_kJ_per_mol"], atol=2e-6
    )
    expected = 2 * log["kinetic_kJ_per_mol"] / ((3 * 42 - 3) * GAS_CONSTANT)
    np.testing.assert_allclose(log["temperature_K"], expected, atol=1e-3)

    results = read_json(folder / "summary.json")["results"]
    assert (results["atoms"], results["degrees_of_freedom"], results["frames"]) == (42, 123, 11)
    half = log["temperature_K"][5:]
    assert results["temperature_K"]["mean"] == pytest.approx(half.mean(), rel=1e-9)
    assert results["temperature_K"]["standard_deviation"] == pytest.approx(half.std(), rel=1e-9)
    heavy = [atom.index for atom in topology.atoms() if atom.element.symbol != "H"]
    minimized = app.PDBFile(str(folder / "minimized.pdb")).getPositions(asNumpy=True)._value
    rmsd = [superposed_distance(frame[heavy].astype(float), minimized[heavy]) for frame in trajectory.xyz]
    assert results["rmsd_nm"]["final"] == pytest.approx(rmsd[-1], abs=1e-4)
    assert results["rmsd_nm"]["largest"] == pytest.approx(max(rmsd), abs=1e-4)
    final = app.PDBFile(str(folder / "final.pdb"))
    np.testing.assert_allclose(final.getPositions(asNumpy=True)._value, trajectory.xyz[-1], atol=2e-3)
    _, phi = mdtraj.compute_phi(trajectory)
    _, psi = mdtraj.compute_psi(trajectory)
    ours = results["final_phi_psi_degrees"]
    assert list(ours) == ["ALA 2", "ALA 3", "ALA 4"]
    np.testing.assert_allclose(list(ours.values()), np.degrees([phi[-1], psi[-1]]).T, atol=0.1)
    if ensemble == "nve":
        matrix = np.stack([log["time_ps"] * 1e-3, np.ones(11)], axis=1)
        (slope, _), residual, *_ = np.linalg.lstsq(matrix, log["total_kJ_per_mol"])
        assert results["energy_drift_kJ_per_mol_per_ns"] == pytest.approx(slope, rel=1e-6)
        assert results["energy_drift_kJ_per_mol_per_ns_per_atom"] == pytest.approx(slope / 42, rel=1e-6)
        assert results["energy_rms_about_drift_kJ_per_mol"] == pytest.approx(np.sqrt(residual[0] / 11), rel=1e-6)
        assert np.ptp(log["total_kJ_per_mol"]) < 0.05 * np.ptp(log["potential_kJ_per_mol"])
    else:
        assert "energy_drift_kJ_per_mol_per_ns" not in results
    assert "Å at the end" in out and "done" in out
    picture = (folder / "plots.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 20_000


@pytest.mark.parametrize("atoms, freedom", [("O 0 0 0\nH 1.1 0 0\nH -0.3 1.05 0\n", 6), ("He 0 0 0\n", 3)])
def test_equipartition(md, springs, tmp_path, atoms, freedom):
    """The bath's temperature comes back only if the degrees of freedom are counted right (3N = 9 would give 200 K)."""
    source = tmp_path / "m.xyz"
    source.write_text(f"{len(atoms.splitlines())}\n\n{atoms}")
    status, _, err = md(
        source, "--output", tmp_path / "run", "--time", "50ps", "--timestep", "1fs", "--save-every", "50fs",
        "--seed", 4, "--friction", "50/ps", "--platform", "CPU", "--threads", 1,
    )  # fmt: skip
    assert status == 0, err
    results = read_json(tmp_path / "run/summary.json")["results"]
    assert results["degrees_of_freedom"] == freedom
    mean = read_csv(tmp_path / "run/log.csv")["temperature_K"].mean()
    assert mean == pytest.approx(300, rel=0.09)  # standard error about 2 % and 3 %


def test_constraints(md, springs, peptide, tmp_path):
    status, out, err = md(
        peptide, "--output", tmp_path / "run", "--steps", 20, "--save-every", 10, "--constraints", "hbonds"
    )
    assert status == 0 and "warning" in out, err
    assert read_json(tmp_path / "run/summary.json")["results"]["degrees_of_freedom"] == 3 * 42 - 3 - 22
    topology = app.PDBFile(str(peptide)).topology
    frames = mdtraj.load(str(tmp_path / "run/trajectory.dcd"), top=mdtraj.Topology.from_openmm(topology))
    for bond in topology.bonds():
        symbols = {bond[0].element.symbol, bond[1].element.symbol}
        if "H" in symbols:
            lengths = np.linalg.norm(frames.xyz[:, bond[0].index] - frames.xyz[:, bond[1].index], axis=-1)
            np.testing.assert_allclose(lengths, 0.101 if "N" in symbols else 0.109, rtol=1e-4)


def test_npt(md, springs, water_box, tmp_path):
    folder = tmp_path / "run"
    status, out, err = md(
        water_box, "--output", folder, "--steps", 400, "--save-every", 50, "--ensemble", "npt", "--seed", 1,
        "--no-minimize",
    )  # fmt: skip
    assert status == 0, err
    log = read_csv(folder / "log.csv")
    frames = mdtraj.load(str(folder / "trajectory.dcd"), top=str(folder / "final.pdb"))
    np.testing.assert_allclose(log["volume_nm3"], frames.unitcell_volumes, rtol=1e-5)
    assert log["volume_nm3"][0] == pytest.approx(0.512) and np.ptp(log["volume_nm3"]) > 1e-4
    mass = 8 * (15.99943 + 2 * 1.007947) * 1.66053907e-24  # g
    np.testing.assert_allclose(log["density_g_per_cm3"], mass / (log["volume_nm3"] * 1e-21), rtol=1e-5)
    assert (folder / "initial.pdb").exists() and not (folder / "minimized.pdb").exists()
    final_box = app.PDBFile(str(folder / "final.pdb")).topology.getUnitCellDimensions()._value
    np.testing.assert_allclose(final_box, frames.unitcell_lengths[-1], atol=1e-4)
    results = read_json(folder / "summary.json")["results"]
    assert results["density_g_per_cm3"]["mean"] == pytest.approx(log["density_g_per_cm3"][4:].mean())
    assert "rmsd_nm" not in results and "g/cm³" in out


def test_equilibration(md, springs, peptide, tmp_path):
    folder = tmp_path / "run"
    status, _, err = md(
        peptide, "--output", folder, "--steps", 20, "--save-every", 10, "--ensemble", "nve", "--equilibrate", "25fs"
    )
    assert status == 0, err
    before, log = read_csv(folder / "equilibration.csv"), read_csv(folder / "log.csv")
    np.testing.assert_array_equal(before["step"], [0, 10, 20, 30, 40, 50])
    np.testing.assert_array_equal(log["step"], [0, 10, 20])
    # Where one stage ended the other began.
    assert log["potential_kJ_per_mol"][0] == pytest.approx(before["potential_kJ_per_mol"][-1], rel=1e-6)


def test_longer_on_resume(md, springs, peptide, tmp_path):
    """A finished run made longer is the run that was long from the start."""
    common = ["--save-every", 10, "--seed", 9, "--threads", 1, "--platform", "CPU"]
    assert md(peptide, "--output", tmp_path / "a", "--steps", 35, *common)[0] == 0
    status, out, _ = md("--resume", "--output", tmp_path / "a")
    assert status == 0 and "complete already" in out
    assert md("--resume", "--output", tmp_path / "a", "--steps", 70)[0] == 0
    assert md(peptide, "--output", tmp_path / "b", "--steps", 70, *common)[0] == 0
    assert (tmp_path / "a/trajectory.dcd").read_bytes() == (tmp_path / "b/trajectory.dcd").read_bytes()
    assert read_json(tmp_path / "a/summary.json")["results"]["frames"] == 8
    assert "CREATED" in (tmp_path / "a/final.pdb").read_text()


def test_resume_on_another_platform(md, springs, peptide, tmp_path):
    """OpenMM's checkpoints cannot do that; NVE goes on from positions and velocities."""
    common = ["--save-every", 10, "--seed", 9, "--ensemble", "nve"]
    assert md(peptide, "--output", tmp_path / "a", "--steps", 30, "--platform", "Reference", *common)[0] == 0
    assert md("--resume", "--output", tmp_path / "a", "--steps", 60, "--platform", "CPU")[0] == 0
    assert md(peptide, "--output", tmp_path / "b", "--steps", 60, "--platform", "Reference", *common)[0] == 0
    ours, reference = read_csv(tmp_path / "a/log.csv"), read_csv(tmp_path / "b/log.csv")
    np.testing.assert_allclose(ours["time_ps"], reference["time_ps"])
    np.testing.assert_allclose(ours["total_kJ_per_mol"], reference["total_kJ_per_mol"], atol=1e-2)
    np.testing.assert_allclose(ours["potential_kJ_per_mol"], reference["potential_kJ_per_mol"], atol=0.5)


def test_seed(md, springs, peptide, tmp_path):
    energies = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert md(peptide, "--output", tmp_path / name, "--steps", 4, "--save-every", 2, "--seed", seed)[0] == 0
        energies.append(read_csv(tmp_path / name / "log.csv")["kinetic_kJ_per_mol"])
    np.testing.assert_array_equal(energies[0], energies[1])
    assert (energies[0] != energies[2]).all()


def test_breakdown_names_the_step(md, springs, tmp_path, monkeypatch):
    monkeypatch.setattr("openmm_so3krates.md.system.make_force", springs.Precipice)
    source = tmp_path / "gas.xyz"
    source.write_text("4\n\nHe 0 0 0\nHe 0 3 0\nHe 3 0 0\nHe 0 0 3\n")
    folder = tmp_path / "run"
    status, out, err = md(
        source, "--output", folder, "--time", "10ps", "--save-every", 1, "--no-minimize", "--seed", 3,
        "--checkpoint-every", 0, "--temperature", 3000,
    )  # fmt: skip
    assert status == 2 and "done" not in out
    step, last_good = map(int, re.search(r"broke down at step (\d+) .* of step (\d+), is kept", err).groups())
    assert 10 < step < 20_000 and last_good < step
    log = read_csv(folder / "log.csv")
    assert np.isfinite(log["total_kJ_per_mol"]).all() and log["step"][-1] == step - 1
    frames = mdtraj.load(str(folder / "trajectory.dcd"), top=str(folder / "initial.pdb"))
    assert len(frames) == step and np.isfinite(frames.xyz).all()
    assert (np.linalg.norm(frames.xyz[-1], axis=-1) < 0.6).all()
    with np.load(folder / "checkpoint.npz") as checkpoint:
        assert np.isfinite(checkpoint["positions"]).all()


def test_structure_without_a_finite_energy(md, springs, tmp_path, monkeypatch):
    monkeypatch.setattr("openmm_so3krates.md.system.make_force", springs.Precipice)
    source = tmp_path / "gas.xyz"
    source.write_text("2\n\nHe 0 0 0\nHe 0 30 0\n")
    status, _, err = md(source, "--output", tmp_path / "run", "--steps", 5)
    assert status == 2 and "of the input structure is not a finite number" in err


def test_platform_properties(springs):
    from openmm_so3krates.md.platforms import _properties
    from openmm_so3krates.md.settings import RunSettings

    settings = RunSettings(steps=1, seed=1, save_every=1, threads=3)
    assert _properties(openmm.Platform.getPlatform("CPU"), settings) == {"Threads": "3"}
    assert _properties(openmm.Platform.getPlatform("Reference"), settings) == {}


def test_platform_by_default():
    """One whose own device computes the force, though OpenMM calls OpenCL faster than CPU."""
    from openmm_so3krates.md.platforms import make_context
    from openmm_so3krates.md.settings import RunSettings

    system = openmm.System()
    system.addParticle(1)
    context = make_context(system, openmm.VerletIntegrator(0.001), RunSettings(steps=1, seed=1, save_every=1))
    assert context.getPlatform().getName() in ("CUDA", "CPU")
