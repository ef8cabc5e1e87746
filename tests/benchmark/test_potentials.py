"""`so3krates benchmark --openmm-ml`: ours through OpenMM-ML, and a stand-in for another potential in its own Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import openmm_so3krates.benchmark
from openmm_so3krates import cli
from openmm_so3krates.benchmark import measure

RUNNERS = Path(openmm_so3krates.benchmark.__file__).parent / "runners"
KJ_PER_MOL = 96.48533212331  # in an eV

# E = strength/2 r² in kJ/mol and nm, as a potential for OpenMM-ML; and an ASE calculator with a parameter.
SPRINGS = """
import os
import openmm
from openmmml.mlpotential import MLPotentialImpl, MLPotentialImplFactory

class Factory(MLPotentialImplFactory):
    def createImpl(self, name, modelPath=None, **args):
        return Springs(modelPath)

class Springs(MLPotentialImpl):
    def __init__(self, path):
        self.path = path
    def addForces(self, topology, system, atoms, forceGroup, strength=1, **args):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "", "a GPU's time would pass for a processor's"
        assert self.path == "/any.model"
        force = openmm.CustomExternalForce(f"{strength}/2*(x^2+y^2+z^2)")
        for atom in topology.atoms():
            force.addParticle(atom.index)
        system.addForce(force)

def lennard_jones(sigma):
    from ase.calculators.lj import LennardJones
    return LennardJones(sigma=float(sigma), rc=20.0)
"""


@pytest.fixture(scope="module")
def peers(tmp_path_factory) -> Path:
    """A folder of peers whose environments "springs" and "ase" are this one and the stand-in."""
    folder = tmp_path_factory.mktemp("peers")
    packages = folder / "packages"
    (packages / "springs-1.dist-info").mkdir(parents=True)
    (packages / "springs.py").write_text(SPRINGS)
    (packages / "springs-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: springs\nVersion: 1\n")
    entry = "[openmmml.potentials]\nsprings = springs:Factory\n"
    (packages / "springs-1.dist-info/entry_points.txt").write_text(entry)
    for name in ("springs", "ase"):
        python = folder / "openmm-ml" / name / "bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} "$@"\n')
        python.chmod(0o755)
    return folder


def test_report(peers, so3lr, tmp_path):
    pytest.importorskip("openmmml")
    output = tmp_path / "result.json"
    arguments = ["--sizes", "22", "--threads", "1", "--repeats", "3", "--seconds", "0.1", "--model", str(so3lr)]
    arguments += ["--devices", "cpu", "--platforms", "CPU", "-o", str(output), "--peers", str(peers)]
    arguments += ["--openmm-ml", "so3krates", "springs,modelPath=/any.model,strength=2.5", "springs,strength=2.5"]
    command = [sys.executable, "-m", "openmm_so3krates.cli", "benchmark", *arguments]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    rows = {(row["program"], row.get("method", "")): row for row in json.loads(output.read_text())["results"]}
    ours, springs = "OpenMM-ML so3krates", "OpenMM-ML springs,modelPath=any.model,strength=2.5"
    for program in (ours, springs):
        step, evaluation = rows[program, measure.MD_STEP], rows[program, measure.LISTS_INCLUDED]
        assert step["repeats"] == evaluation["repeats"] == 3 and step["ns_per_day"] > 0
        assert step["device"] == evaluation["device"] == "OpenMM CPU"
    model = rows[ours, measure.LISTS_INCLUDED]
    assert model["model"] == rows["openmm-so3krates", measure.MD_STEP]["model"] == "so3lr.safetensors"
    assert 1e-8 < model["max_force_error"] < 1e-4 and model["max_force_difference"] < 1e-12
    assert model["precision"] == "single"
    other = rows[springs, measure.LISTS_INCLUDED]
    assert other["model"] == "springs,modelPath=any.model,strength=2.5" and other["precision"] == "its own"
    assert not {"max_force_error", "max_force_difference", "energy_change_error"} & set(other)
    assert "AssertionError" in rows["OpenMM-ML springs,strength=2.5", ""]["error"]  # it has no model
    assert "springs,modelPath=any.model,strength=2.5 is another model than so3lr.safetensors" in process.stdout
    # Beside ours are programs of the same model alone.
    compared = process.stdout.partition("Same model")[2].partition("Fitted")[0].partition("written:")[0]
    assert "OpenMM-ML so3krates" in compared and "springs" not in compared


def evaluate(peers, tmp_path, name, potential_arguments, system_arguments, cell=None) -> dict:
    """The runner's answer without timing, for three atoms."""
    frames = np.random.default_rng(1).uniform(-2, 2, (2, 3, 3))
    job = {
        "atomic_numbers": [8, 1, 1],
        "frames": frames.tolist(),
        "cell": cell,
        "potential": name,
        "potential_arguments": potential_arguments,
        "system_arguments": system_arguments,
        **{"platform": "Reference", "precision": "single", "timestep": 0.5, "threads": 1, "repeats": 0},
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    command = [peers / "openmm-ml" / name / "bin/python", RUNNERS / "openmm_ml_runner.py"]
    subprocess.run([*command, tmp_path / "job.json", tmp_path / "result.json"], check=True, env=dict(os.environ))
    result = json.loads((tmp_path / "result.json").read_text())
    assert "error" not in result, result
    return {**result, "frames": frames}


def test_energies_and_forces_of_the_runner(peers, tmp_path):
    """In eV and Å, of a potential whose energy is known."""
    pytest.importorskip("openmmml")
    box = (30 * np.eye(3)).tolist()
    result = evaluate(peers, tmp_path, "springs", {"modelPath": "/any.model"}, {"strength": 7}, box)
    strength = 7 / 100 / KJ_PER_MOL  # eV/Å²
    frames = result["frames"]
    np.testing.assert_allclose(result["energies"], strength / 2 * (frames**2).sum(axis=(1, 2)), rtol=1e-9)
    np.testing.assert_allclose(result["forces"], -strength * frames, atol=1e-12)
    assert "springs, modelPath=/any.model, strength=7; openmmml" in result["implementation"]


def test_calculator_of_ase(peers, tmp_path):
    pytest.importorskip("openmmml")
    ase = pytest.importorskip("ase")
    from ase.calculators.lj import LennardJones

    result = evaluate(peers, tmp_path, "ase", {}, {"calculator": "springs:lennard_jones:1.5"})
    for positions, energy, forces in zip(result["frames"], result["energies"], result["forces"], strict=True):
        atoms = ase.Atoms("OHH", positions, calculator=LennardJones(sigma=1.5, rc=20.0))
        assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-5)
        np.testing.assert_allclose(forces, atoms.get_forces(), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["ani2x"], "--openmm-ml ani2x needs --peers DIR, with an environment in DIR/openmm-ml/ani2x"),
        (["ase@absent,calculator=a:b", "--peers", "PEERS"], "openmm-ml/absent/bin/python"),
        (["springs,strength", "--peers", "PEERS"], "'strength' is not KEY=VALUE"),
        (["springs", "springs", "--peers", "PEERS"], "springs is there twice"),
        (["so3krates,modelPath=/absent.safetensors"], "/absent.safetensors"),
    ],
)
def test_bad_arguments(arguments, message, peers, so3lr, tmp_path, monkeypatch, capsys):
    pytest.importorskip("openmmml")
    monkeypatch.chdir(tmp_path)
    given = [str(peers) if argument == "PEERS" else argument for argument in arguments]
    assert cli.main(["benchmark", "--quick", "--model", str(so3lr), "--openmm-ml", *given]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not list(tmp_path.iterdir())  # before anything is measured
