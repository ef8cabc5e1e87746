"""The main job on its example with SO3LR itself."""

import json

import mdtraj
import numpy as np
import pytest
from openmm import app

from openmm_so3krates import Potential

KJ_PER_MOL_PER_EV = 96.4853321233100184


def test_peptide_end_to_end(md, so3lr, peptide, tmp_path):
    folder = tmp_path / "run"
    status, out, err = md(
        peptide, "--model", so3lr, "--output", folder, "--steps", 40, "--save-every", 10, "--ensemble", "nve",
        "--minimize-tolerance", 100, "--seed", 5, "--predictions",
    )  # fmt: skip
    assert status == 0, err
    topology = app.PDBFile(str(peptide)).topology
    frames = mdtraj.load(str(folder / "trajectory.dcd"), top=mdtraj.Topology.from_openmm(topology))
    log = np.genfromtxt(folder / "log.csv", delimiter=",", names=True)
    potential = Potential(so3lr, precision="double", lr_cutoff=12.0)
    numbers = [atom.element.atomic_number for atom in topology.atoms()]
    results = [potential.compute(numbers, 10 * frame.astype(float)) for frame in frames.xyz]
    energies = [result.energy * KJ_PER_MOL_PER_EV for result in results]
    np.testing.assert_allclose(log["potential_kJ_per_mol"], energies, atol=0.02)
    table = np.genfromtxt(folder / "predictions.csv", delimiter=",", names=True)
    for axis, name in enumerate("xyz"):
        dipole = 10 * table[f"dipole_{name}_e_nm"]
        np.testing.assert_allclose(dipole, [result.dipole[axis] for result in results], atol=2e-4)
    for part in results[0].energy_parts:
        expected = [result.energy_parts[part] * KJ_PER_MOL_PER_EV for result in results]
        np.testing.assert_allclose(table[f"{part}_kJ_per_mol"], expected, atol=0.05)
    charges = np.load(folder / "charges.npy")
    np.testing.assert_allclose(charges, [result.partial_charges for result in results], atol=1e-5)
    assert np.ptp(log["total_kJ_per_mol"]) < 1.5 < np.ptp(log["kinetic_kJ_per_mol"])
    record = json.loads((folder / "summary.json").read_text())
    assert record["minimization"]["rms_force_after"] < 100 < record["minimization"]["rms_force_before"]
    assert record["model"]["sha256"] == Potential(so3lr).model.sha256
    assert "minimised" in out and "energy drift" in out


def test_resumed_peptide_is_the_uninterrupted_one(md, so3lr, peptide, tmp_path):
    common = ["--model", so3lr, "--save-every", 5, "--seed", 5, "--no-minimize", "--platform", "CPU", "--threads", 1]
    assert md(peptide, "--output", tmp_path / "a", "--steps", 13, *common)[0] == 0
    assert md("--resume", "--output", tmp_path / "a", "--steps", 25)[0] == 0
    assert md(peptide, "--output", tmp_path / "b", "--steps", 25, *common)[0] == 0
    assert (tmp_path / "a/trajectory.dcd").read_bytes() == (tmp_path / "b/trajectory.dcd").read_bytes()


@pytest.mark.parametrize("constraints", ["none", "hbonds"])
def test_water_in_a_box(md, so3lr, tmp_path, constraints):
    source = tmp_path / "water.xyz"
    source.write_text(
        '6\nLattice="7 0 0 0 7 0 0 0 7"\n'
        "O 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\nO 0.3 0.2 3.2\nH 1.26 0.2 3.2\nH 0.06 1.13 3.2\n"
    )
    status, _, err = md(
        source, "--model", so3lr, "--output", tmp_path / "run", "--steps", 30, "--save-every", 10, "--ensemble", "npt",
        "--minimize-tolerance", 200, "--lr-cutoff", "6A", "--constraints", constraints,
    )  # fmt: skip
    assert status == 0, err
    log = np.genfromtxt(tmp_path / "run/log.csv", delimiter=",", names=True)
    assert np.isfinite(log["density_g_per_cm3"]).all()
