"""Running the command in this process and in one of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # springs.py
import springs as springs_module

PEPTIDE = Path(__file__).parents[2] / "examples/ac_ala3_nhme.pdb"


@pytest.fixture
def peptide() -> Path:
    return PEPTIDE


@pytest.fixture
def springs(monkeypatch):
    """Springs in place of the model, in this process."""
    monkeypatch.setattr("openmm_so3krates.md.system.make_force", springs_module.Springs)
    return springs_module


@pytest.fixture
def md(capsys):
    """`md(*arguments)` -> (exit status, standard output, standard error) of `so3krates md`."""
    from openmm_so3krates import cli

    def run(*arguments):
        try:
            status = cli.main(["md", *map(str, arguments)])
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def springs_process():
    """`springs_process(*arguments, **environment)` -> a running `so3krates md` with springs for a model."""
    processes = []

    def start(*arguments, **environment) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, springs_module.__file__, "md", *map(str, arguments)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
