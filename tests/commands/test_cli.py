"""The command line: what it prints, and how it fails."""

import os
import subprocess
import sys
import zipfile

import pytest
from openmm.app.element import Element
from random_tensors import random_tensors, small_hyperparameters

from openmm_so3krates import cli, commands, models
from openmm_so3krates.elements import SYMBOLS, parse_elements
from openmm_so3krates.hyperparameters import ModelError
from openmm_so3krates.model_file import read_model_file, sha256_of, write_model_file


@pytest.fixture
def model(tmp_path):
    hyper = small_hyperparameters()
    path = tmp_path / "small.safetensors"
    write_model_file(path, hyper, random_tensors(hyper), {"source": "a test", "license": "CC0"})
    return path


def run(capsys, *arguments):
    code = cli.main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_help_starts_fast():
    """Help must not wait for heavy imports."""
    script = (
        "import sys; from openmm_so3krates import cli; cli._parser().format_help()\n"
        "print(sorted({'numpy', 'openmm', 'torch', 'mdtraj', 'matplotlib', 'safetensors'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["import", "install", "info"])
def test_help_has_examples(capsys, command):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert f"examples:\n  so3krates {command}" in capsys.readouterr().out


def test_no_command_shows_help(capsys):
    code, out, _ = run(capsys)
    assert code == 2 and "so3krates install so3lr" in out


def test_info_of_the_installation(capsys, tmp_path, monkeypatch, model):
    monkeypatch.setenv("SO3KRATES_HOME", str(tmp_path))
    code, out, _ = run(capsys, "info")
    assert code == 0
    lines = dict(line.split("  ", 1) for line in out.splitlines() if not line.startswith(" "))
    assert {"openmm-so3krates", "Python", "NumPy", "OpenMM", "engine", "OpenMM plugin"} <= lines.keys()
    assert lines["OpenMM platforms"].strip().startswith("Reference, CPU")
    assert lines["SO3kratesForce on"].strip() == lines["OpenMM platforms"].strip()
    assert lines["model folder"].strip() == str(tmp_path)
    assert lines["installed models"].strip() == "small"


def test_info_of_a_model(capsys, model):
    code, out, _ = run(capsys, "info", str(model))
    assert code == 0
    for text in (sha256_of(model), "a test", "CC0", "H C O", "0 1 3", "num_features             12"):
        assert text in out
    total = sum(t.size for name, t in read_model_file(model)[1].items() if not name.startswith("dispersion."))
    assert f"{total:,}" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nosuch"], "so3krates install nosuch"),
        (["info", "./nosuch.safetensors"], "no model file"),
        (["install", "nosuch"], "known: so3lr"),
        (["install", "so3lr", "--force", "--from", "nosuch.whl"], "No such file"),
        (["import", "nosuch.pkl", "-o", "x.safetensors"], "nosuch.pkl"),
        (["import", "nosuch.pkl", "-o", "x.pt"], "ends in .safetensors"),
        (["import", "text", "-o", "x.safetensors"], "neither an mlff params.pkl nor"),
        (["import", "text", "-o", "x.safetensors", "--elements", "H,Xx"], "'Xx' is not a chemical symbol"),
        (["import", "text", "-o", "small.safetensors"], "--force overwrites"),
        (["import", "small.safetensors", "-o", "x.safetensors"], "needs no import"),
        (["import", "evil.pkl", "-o", "x.safetensors"], "refusing this pickle"),
    ],
)
def test_errors_are_one_line(capsys, tmp_path, monkeypatch, model, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SO3KRATES_HOME", str(tmp_path / "home"))
    (tmp_path / "text").write_text("hello")
    (tmp_path / "evil.pkl").write_bytes(b"\x80\x04cos\nsystem\n\x8c\x0dtouch executed\x85R.")
    (tmp_path / "hyperparameters.json").write_text('{"model": {}}')
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == ""
    assert err.startswith(f"so3krates {arguments[0]}: ") and message in err
    assert err.count("\n") == 1 and "Traceback" not in err
    assert not {"x.safetensors", "x.pt", "executed", "home"} & set(os.listdir(tmp_path))


@pytest.mark.parametrize("place", ["before", "after"])
def test_debug_shows_the_traceback(capsys, place):
    arguments = ["--debug", "info", "nosuch"] if place == "before" else ["info", "nosuch", "--debug"]
    code, _, err = run(capsys, *arguments)
    assert code == 2 and "Traceback" in err and err.splitlines()[-1].startswith("so3krates info: ")


def test_interrupt(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "install", interrupted)
    code, _, err = run(capsys, "install", "so3lr")
    assert code == 130 and err.strip() == "interrupted"


def test_a_bug_shows_its_traceback(capsys, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(models, "install", broken)
    code, _, err = run(capsys, "install", "so3lr")
    assert code == 2 and "Traceback" in err


def test_reader_that_leaves():
    """`so3krates info | head -1` ends quietly."""
    command = f"{sys.executable} -m openmm_so3krates.cli info | head -1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == ""


def test_import_command(capsys, tmp_path, so3lr_wheel):
    with zipfile.ZipFile(so3lr_wheel) as wheel:
        (tmp_path / "so3lr.model").write_bytes(wheel.read(models.PUBLISHED["so3lr"].member))
    output = tmp_path / "out.safetensors"
    code, out, _ = run(capsys, "import", str(tmp_path / "so3lr.model"), "-o", str(output), "--elements", "H,O")
    assert code == 0 and "H O" in out and sha256_of(output) in out and "MIT" in out
    assert read_model_file(output)[0].elements == (1, 8)
    assert run(capsys, "import", str(tmp_path / "so3lr.model"), "-o", str(output), "--force")[0] == 0
    assert read_model_file(output)[0].elements == (1, 6, 7, 8, 9, 15, 16, 17)


def test_a_missing_command_module_does_not_break_the_others(monkeypatch, capsys, model, tmp_path):
    monkeypatch.setattr(cli, "_MODULES", ("import_model", "not_there", "info"))
    assert run(capsys, "info", str(model))[0] == 0
    # But one that is there and lacks what it imports is an error.
    (tmp_path / "broken.py").write_text("import no_such_package\n")
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    monkeypatch.setattr(cli, "_MODULES", ("broken", "info"))
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        cli.main(["info", str(model)])


def test_elements():
    assert len(SYMBOLS) == 119 and (SYMBOLS[1], SYMBOLS[17], SYMBOLS[118]) == ("H", "Cl", "Og")
    for z in range(1, 112):  # OpenMM has old names beyond
        assert Element.getByAtomicNumber(z).symbol == SYMBOLS[z]
    assert parse_elements("O, h,CL 26") == (1, 8, 17, 26)
    for bad in ("", ",", "X", "0", "119", "H;O", "½", "12345678901234567890"):
        with pytest.raises(ModelError):
            parse_elements(bad)
    assert parse_elements("1,1,H") == (1,)
