"""The peptide builder against OpenMM's amber14 templates, mdtraj's dihedrals and the CORN rule."""

import importlib.util
import io
from pathlib import Path

import mdtraj
import numpy as np
import pytest
from openmm import app

ROOT = Path(__file__).parents[2]


def load_builder():
    spec = importlib.util.spec_from_file_location("build_capped_alanine", ROOT / "scripts/build_capped_alanine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


builder = load_builder()


def read(text: str) -> app.PDBFile:
    return app.PDBFile(io.StringIO(text))


@pytest.mark.parametrize("phi, psi", [(-75.0, 145.0), (-60.0, -45.0), (57.0, 47.0), (180.0, 180.0), (-120.0, 10.0)])
@pytest.mark.parametrize("num_residues", [1, 3, 10])
def test_dihedrals_and_force_field(num_residues, phi, psi):
    atoms = builder.build(num_residues, phi, psi)
    assert len(atoms) == 12 + 10 * num_residues
    pdb = read(builder.to_pdb(atoms))
    system = app.ForceField("amber14-all.xml").createSystem(pdb.topology)  # refuses a wrong name or a missing atom
    assert system.getNumParticles() == len(atoms)
    positions = np.array([atom.position for atom in atoms])  # Å, not rounded to the PDB format
    trajectory = mdtraj.Trajectory(positions[None] / 10, mdtraj.Topology.from_openmm(pdb.topology))
    for compute, angle in ((mdtraj.compute_phi, phi), (mdtraj.compute_psi, psi), (mdtraj.compute_omega, 180.0)):
        values = np.degrees(compute(trajectory)[1][0])
        # mdtraj's omega needs a CA on both sides, which the caps do not have.
        assert len(values) == num_residues - (compute is mdtraj.compute_omega)
        difference = (values - angle + 180) % 360 - 180
        assert np.abs(difference).max(initial=0.0) < 0.05  # mdtraj computes in single precision


def test_every_residue_is_left_handed():
    """CORN: seen from the hydrogen towards CA, the groups CO, R and N follow each other clockwise."""
    atoms = builder.build(4, -60.0, -40.0)
    for number in range(2, 6):
        at = {atom.name: atom.position for atom in atoms if atom.residue_number == number}
        view = at["CA"] - at["HA"]  # from the eye into the page
        view /= np.linalg.norm(view)
        right = at["C"] - at["CA"]
        right -= view * (right @ view)
        right /= np.linalg.norm(right)
        up = np.cross(right, view)  # right, up and towards the eye (-view) are right-handed
        angles = {}
        for name in ("C", "CB", "N"):
            direction = at[name] - at["CA"]
            angles[name] = np.degrees(np.arctan2(direction @ up, direction @ right)) % 360
        assert angles["C"] == pytest.approx(0, abs=1e-6) or angles["C"] == pytest.approx(360)
        assert 180 < angles["CB"] < 300 and 60 < angles["N"] < 180  # clockwise: C at 0, CB at -120, N at -240


def test_geometry_is_sound():
    atoms = builder.build(3)
    positions = np.array([atom.position for atom in atoms])
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    pdb = read(builder.to_pdb(atoms))
    bonded = {frozenset((a.index, b.index)) for a, b in pdb.topology.bonds()}
    assert len(bonded) == len(atoms) - 1
    for i in range(len(atoms)):
        for j in range(i):
            pair = {atoms[i].element, atoms[j].element}
            if frozenset((i, j)) in bonded:
                assert 1.0 <= distances[i, j] <= (1.1 if "H" in pair else 1.54)
            else:
                assert distances[i, j] > (1.6 if "H" in pair else 2.1)


def test_bundled_example_is_what_the_script_writes():
    assert (ROOT / "examples/ac_ala3_nhme.pdb").read_text() == builder.to_pdb(builder.build())


@pytest.mark.parametrize("arguments", [(0,), (-1,), (3, float("nan")), (3, -60.0, float("inf"))])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=r"residue|finite"):
        builder.build(*arguments)
