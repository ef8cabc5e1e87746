"""The scripts in examples/, in short."""

import importlib.util
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import pytest
from openmm import unit

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = ["ase_relaxation", "ml_mm", "openmm_ml_interpolation", "peptide_in_vacuum", "restart", "solvated_peptide"]
SCRIPTS += ["water_npt"]


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name, *arguments):
    assert load(name).main([*map(str, arguments)]) == 0


def table(path):
    return np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2)


def assert_molecules_are_sound(trajectory):
    """Bonds have the lengths of bonds: molecules are whole and have not burst. nm"""
    bonds = np.array([(a.index, b.index) for a, b in trajectory.topology.bonds])
    lengths = mdtraj.compute_distances(trajectory, bonds, periodic=False)
    assert lengths.min() > 0.085 and lengths.max() < 0.17


@pytest.mark.parametrize("name", SCRIPTS)
def test_help(name, capsys):
    with pytest.raises(SystemExit) as end:
        load(name).main(["--help"])
    assert end.value.code == 0
    assert f"python examples/{name}.py" in capsys.readouterr().out


def test_peptide_in_vacuum(so3lr, tmp_path):
    run("peptide_in_vacuum", "--steps", 60, "--frames", 6, "--output", tmp_path)
    frames = mdtraj.load(tmp_path / "trajectory.dcd", top=tmp_path / "minimized.pdb")
    assert frames.n_frames == 6
    assert_molecules_are_sound(frames)
    log = table(tmp_path / "log.csv")
    assert log[:, 0] == pytest.approx(0.005 * np.arange(1, 7))
    assert (log[:, 2] > 20).all() and (log[:, 2] < 400).all()  # K; half of it went into the minimised structure
    assert (tmp_path / "dihedrals.png").stat().st_size > 5000


def test_solvated_peptide(so3lr, tmp_path):
    run("solvated_peptide", "--steps", 8, "--frames", 4, "--edge", 1.2, "--output", tmp_path)
    frames = mdtraj.load(tmp_path / "trajectory.dcd", top=tmp_path / "start.pdb")
    assert frames.n_frames == 4 and frames.n_atoms > 80
    assert frames.unitcell_lengths == pytest.approx(1.2)
    assert_molecules_are_sound(frames)
    assert (tmp_path / "solvation.png").stat().st_size > 5000


def test_water_npt(so3lr, tmp_path):
    run("water_npt", "--steps", 160, "--frames", 4, "--edge", 1.1, "--output", tmp_path)
    density = table(tmp_path / "log.csv")[:, 3]
    assert len(density) == 4 and len(set(density)) > 1
    assert (density > 0.7).all() and (density < 1.3).all()
    final = mdtraj.load(tmp_path / "final.pdb")
    volume = 18.0154 * (final.n_atoms / 3) / 602.214 / density[-1]  # nm³
    assert final.unitcell_volumes[0] == pytest.approx(volume, rel=1e-3)
    assert (tmp_path / "density.png").stat().st_size > 5000


def test_ml_mm(so3lr, tmp_path, capsys):
    run("ml_mm", "--steps", 40, "--frames", 4, "--edge", 2.2, "--output", tmp_path)
    frames = mdtraj.load(tmp_path / "trajectory.dcd", top=tmp_path / "start.pdb")
    assert frames.n_frames == 4
    assert_molecules_are_sound(frames)
    # Water is rigid as in TIP3P, the peptide vibrates.
    oxygen = frames.topology.select("water and element O")[0]
    water = mdtraj.compute_distances(frames, [[oxygen, oxygen + 1]], periodic=False)
    assert water == pytest.approx(0.09572, abs=1e-5)
    assert np.ptp(mdtraj.compute_distances(frames, [[0, 1]], periodic=False)) > 1e-4
    energy = float(capsys.readouterr().out.split("peptide at the end:")[1].split("kJ/mol")[0])
    assert energy == pytest.approx(-3760, abs=150)  # SO3LR's energy of the dipeptide by itself, at 300 K
    assert (tmp_path / "dihedrals.png").stat().st_size > 5000


def test_openmm_ml_interpolation(so3lr, tmp_path):
    example = load("openmm_ml_interpolation")
    assert example.main(["--steps", "50", "--windows", "3", "--output", str(tmp_path)]) == 0
    values, slopes, errors = table(tmp_path / "lambda.csv").T
    assert values == pytest.approx([0, 0.5, 1])
    assert np.isfinite(slopes).all() and (errors > 0).all()
    # The mean of dU/dlambda falls with lambda: its slope is minus a variance over kT.
    assert slopes[2] < slopes[0]
    assert (tmp_path / "lambda.png").stat().st_size > 5000


def test_ase_relaxation(so3lr, tmp_path, capsys):
    run("ase_relaxation", "--output", tmp_path)
    wavenumbers = table(tmp_path / "frequencies.csv")[:, 0]
    assert len(wavenumbers) == 27
    assert np.abs(wavenumbers[:6]).max() < 10
    # Of ethanol from spectra: torsions above 200, C-O stretch, C-H stretches and, by itself, O-H.
    assert wavenumbers[6] > 200
    assert ((wavenumbers > 2900) & (wavenumbers < 3200)).sum() == 5
    assert 3700 < wavenumbers[-1] < 3950
    assert "energy lowered by" in capsys.readouterr().out


def test_ase_relaxation_that_is_too_short(so3lr, tmp_path, capsys):
    assert load("ase_relaxation").main(["--steps", "1", "--output", str(tmp_path)]) == 1
    assert "give more --steps" in capsys.readouterr().err


def test_restart(so3lr, tmp_path):
    """Two pieces are, bit for bit, one run."""
    run("restart", "--steps", 40, "--output", tmp_path / "whole")
    for _ in range(2):
        run("restart", "--steps", 20, "--output", tmp_path / "pieces")
    states = [
        openmm.XmlSerializer.deserialize((tmp_path / f"{name}/state.xml").read_text()) for name in ("whole", "pieces")
    ]
    positions = [state.getPositions(asNumpy=True).value_in_unit(unit.nanometer) for state in states]
    np.testing.assert_array_equal(*positions)
    frames = [
        mdtraj.load(tmp_path / f"{name}/trajectory.dcd", top=EXAMPLES / "ac_ala3_nhme.pdb")
        for name in ("whole", "pieces")
    ]
    np.testing.assert_array_equal(frames[0].xyz, frames[1].xyz)
    assert len(frames[0]) == 2
