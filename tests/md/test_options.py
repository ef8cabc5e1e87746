"""Every option of `so3krates md` with values that cannot be used: one line that says why, and nothing written."""

import json
import re
import shutil
from pathlib import Path

import pytest
from springs import Springs

PEPTIDE = Path(__file__).parents[2] / "examples/ac_ala3_nhme.pdb"

BAD_OPTIONS = [
    (["--time", "1"], "--time '1' has no unit; write for example 1fs"),
    (["--time", "0ps"], "--time and --timestep must be positive"),
    (["--time=-1ps"], "--time and --timestep must be positive"),
    (["--time", "soon"], "--time 'soon' is not a number"),
    (["--steps", "0"], "at least one step"),
    (["--steps", "-3"], "at least one step"),
    (["--steps", "1.5"], "invalid int value"),
    (["--time", "1ps", "--steps", "5"], "give one of them"),
    ([], "say how long to simulate"),
    (["--steps", "5", "--temperature", "0"], "--temperature must be positive"),
    (["--steps", "5", "--temperature=-10K"], "--temperature must be positive"),
    (["--steps", "5", "--temperature", "300C"], "--temperature '300C'"),
    (["--steps", "5", "--temperature", "hot"], "--temperature 'hot' is not a number"),
    (["--steps", "5", "--ensemble", "nph"], "--ensemble must be one of nve, nvt, npt"),
    (["--steps", "5", "--ensemble", "npt"], "--ensemble npt needs a periodic box"),
    (["--steps", "5", "--pressure", "much"], "--pressure 'much'"),
    (["--steps", "5", "--friction", "0"], "--friction must be positive"),
    (["--steps", "5", "--friction", "1ps"], "--friction '1ps'"),
    (["--steps", "5", "--timestep", "0fs"], "--timestep must be positive"),
    (["--steps", "5", "--timestep", "1ps"], "more than 5 fs"),
    (["--steps", "5", "--timestep", "1nm"], "--timestep '1nm'"),
    (["--steps", "5", "--constraints", "allbonds"], "--constraints must be one of none, hbonds"),
    (["--steps", "5", "--equilibrate=-1ps"], "--equilibrate and --timestep must be positive"),
    (["--steps", "5", "--equilibrate", "10"], "--equilibrate '10' has no unit"),
    (["--steps", "5", "--minimize-tolerance", "0"], "--minimize-tolerance must be positive"),
    (["--steps", "5", "--minimize-tolerance", "1kcal"], "--minimize-tolerance '1kcal'"),
    (["--steps", "5", "--save-every", "0"], "--save-every must be at least one step"),
    (["--steps", "5", "--save-every", "-5"], "--save-every must be at least one step"),
    (["--steps", "5", "--save-every", "often"], "--save-every 'often'"),
    (["--steps", "5", "--format", "pdb"], "--format must be one of dcd, xtc"),
    (["--steps", "5", "--platform", "Abacus"], "--platform Abacus: OpenMM here has only .*Reference"),
    (["--steps", "5", "--platform", "Reference", "--threads", "2"], "--threads cannot be set on the Reference"),
    (["--steps", "5", "--precision", "half"], "--precision must be one of single, double"),
    (["--steps", "5", "--threads", "0"], "--threads must be from 1 to"),
    (["--steps", "5", "--threads", "1000000"], "--threads must be from 1 to"),
    (["--steps", "5", "--threads", "two"], "invalid int value"),
    (["--steps", "5", "--lr-cutoff", "12"], "--lr-cutoff '12' has no unit"),
    (["--steps", "5", "--lr-cutoff=-1nm"], "--lr-cutoff must be positive"),
    (["--steps", "5", "--lr-cutoff", "0A"], "--lr-cutoff must be positive"),
    (["--steps", "5", "--seed", "0"], "--seed must be a whole number from 1"),
    (["--steps", "5", "--seed", str(2**31)], "--seed must be a whole number from 1"),
    (["--steps", "5", "--seed", "abc"], "invalid int value"),
    (["--steps", "5", "--checkpoint-every", "-1"], "--checkpoint-every must be zero or more"),
    (["--steps", "5", "--checkpoint-every", "nan"], "--checkpoint-every must be zero or more"),
    (["--steps", "5", "--charge", "nan"], "--charge must be a finite number"),
    (["--steps", "5", "--charge", "plus"], "invalid float value"),
    (["--steps", "5", "--charge", "1"], "153 electrons, of which not just 0 can be unpaired"),
    (["--steps", "5", "--charge", "200"], "too few"),
    (["--steps", "5", "--spin", "1"], "154 electrons, of which not just 1 can be unpaired"),
    (["--steps", "5", "--spin", "-2"], "--spin counts unpaired electrons"),
    (["--steps", "5", "--resume", "--overwrite"], "give one of them"),
    (["--steps", "5", "--resume"], "there is no run to resume"),
]


@pytest.mark.parametrize("arguments, reason", BAD_OPTIONS, ids=[" ".join(arguments) for arguments, _ in BAD_OPTIONS])
def test_bad_option(md, springs, peptide, tmp_path, arguments, reason):
    folder = tmp_path / "run"
    status, out, err = md(peptide, "--output", folder, *arguments)
    assert status == 2
    assert len([line for line in err.splitlines() if "so3krates md: " in line]) == 1
    assert re.search(reason, err), err
    assert "Traceback" not in err and "done" not in out
    assert not (folder / "trajectory.dcd").exists()


@pytest.fixture(scope="module")
def template_run(tmp_path_factory):
    from openmm_so3krates import cli

    folder = tmp_path_factory.mktemp("template") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("openmm_so3krates.md.system.make_force", Springs)
        arguments = ["--output", str(folder), "--steps", "4", "--save-every", "2", "--seed", "5"]
        assert cli.main(["md", str(PEPTIDE), *arguments]) == 0
    return folder


@pytest.fixture
def finished_run(template_run, tmp_path):
    """A folder of its own with a run of 4 steps, every second saved."""
    return shutil.copytree(template_run, tmp_path / "run")


def test_missing_arguments(md, peptide, tmp_path):
    assert md(peptide, "--steps", 5)[0] == 2  # no --output
    status, _, err = md("--output", tmp_path / "run", "--steps", 5)
    assert status == 2 and "name the structure to simulate" in err


def test_unknown_model(md, peptide, tmp_path):
    status, _, err = md(peptide, "--output", tmp_path / "run", "--steps", 5, "--model", tmp_path / "absent.safetensors")
    assert status == 2 and "absent.safetensors" in err and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_element_the_model_does_not_know(md, so3lr, tmp_path):
    source = tmp_path / "argon.xyz"
    source.write_text("1\n\nAr 0 0 0\n")
    status, _, err = md(source, "--output", tmp_path / "run", "--steps", 5, "--model", so3lr)
    assert status == 2 and "Ar" in err and "was not trained on" in err and "Traceback" not in err


def test_atoms_on_top_of_each_other(md, so3lr, tmp_path):
    source = tmp_path / "h2.xyz"
    source.write_text("2\n\nH 0 0 0\nH 0 0 0\n")
    status, _, err = md(source, "--output", tmp_path / "run", "--steps", 5, "--model", so3lr)
    assert status == 2 and "Traceback" not in err and len(err.splitlines()) == 1


def test_existing_run_is_kept(md, springs, peptide, tmp_path):
    folder = tmp_path / "run"
    assert md(peptide, "--output", folder, "--steps", 4, "--save-every", 2)[0] == 0
    before = (folder / "log.csv").read_bytes()
    status, _, err = md(peptide, "--output", folder, "--steps", 2)
    assert status == 2 and "already holds a run; continue it with --resume, replace it with --overwrite" in err
    assert (folder / "log.csv").read_bytes() == before
    (folder / "mine.txt").write_text("not part of the run")
    # A mistake in the new run must not cost the old one.
    assert md(peptide, "--output", folder, "--overwrite", "--steps", 0)[0] == 2
    assert (folder / "log.csv").read_bytes() == before
    assert md(peptide, "--output", folder, "--overwrite", "--steps", 2, "--format", "xtc")[0] == 0
    assert (folder / "mine.txt").exists() and not (folder / "trajectory.dcd").exists()


def test_output_that_cannot_be_a_folder(md, springs, peptide, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file/run"):
        status, _, err = md(peptide, "--output", folder, "--steps", 2)
        assert status == 2 and "Traceback" not in err and "folder" in err


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--temperature", "310"], "--temperature: 300 in the run, 310 now"),
        (["--ensemble", "nve"], "--ensemble: nvt in the run, nve now"),
        (["--timestep", "1fs"], "--timestep: 0.0005 in the run, 0.001 now"),
        (["--seed", "6"], "--seed: 5 in the run, 6 now"),
        (["--save-every", "3"], "--save-every: 2 in the run, 3 now"),
        (["--charge", "2"], "--charge: 0 in the run, 2 now"),
        (["--lr-cutoff", "none"], "--lr-cutoff: 1.2 in the run, none now"),
        (["--no-minimize"], "--minimize: False in the run|--minimize: True in the run, False now"),
        (["--format", "xtc"], "--format: dcd in the run, xtc now"),
        (["--steps", "2"], "already 4 steps"),
        (["--time", "1fs"], "already 4 steps"),
    ],
)
def test_resume_compares_settings(md, springs, finished_run, arguments, reason):
    folder = finished_run
    record = (folder / "run.json").read_bytes()
    status, _, err = md("--resume", "--output", folder, *arguments)
    assert status == 2 and re.search(reason, err), err
    assert (folder / "run.json").read_bytes() == record


def test_resume_compares_input_and_model(md, springs, peptide, finished_run, tmp_path, monkeypatch):
    folder, other = finished_run, tmp_path / "other.pdb"
    assert md(peptide, "--resume", "--output", folder)[0] == 0  # naming the same input again is fine
    other.write_text(peptide.read_text().replace("-5.932", "-5.933"))
    status, _, err = md(other, "--resume", "--output", folder)
    assert status == 2 and "is not the structure that this run began with" in err
    with monkeypatch.context() as patch:
        patch.setattr("openmm_so3krates.md.system.make_force", springs.OtherSprings)
        status, _, err = md("--resume", "--output", folder)
        assert status == 2 and "another file now" in err
    (folder / "input.pdb").write_text(other.read_text())
    status, _, err = md("--resume", "--output", folder)
    assert status == 2 and "was changed since the run began" in err


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format_version": 1}', '{"format_version": 99}'])
def test_damaged_record(md, springs, finished_run, text):
    folder = finished_run
    (folder / "run.json").write_text(text)
    status, _, err = md("--resume", "--output", folder)
    assert status == 2 and "run.json" in err and "Traceback" not in err


def test_charge_and_spin_of_the_structure(md, springs, tmp_path):
    source = tmp_path / "hydroxide.xyz"
    source.write_text("2\ncharge=-1\nO 0 0 0\nH 0.96 0 0\n")
    assert md(source, "--output", tmp_path / "a", "--steps", 2)[0] == 0
    assert json.loads((tmp_path / "a/run.json").read_text())["settings"]["charge"] == -1
    assert md(source, "--output", tmp_path / "b", "--steps", 2, "--charge", 0, "--spin", 1)[0] == 0
    settings = json.loads((tmp_path / "b/run.json").read_text())["settings"]
    assert (settings["charge"], settings["spin"]) == (0, 1)


def test_help_has_examples(md):
    status, out, _ = md("--help")
    assert status == 0 and "--resume --output run" in out and "ac_ala3_nhme.pdb" in out
