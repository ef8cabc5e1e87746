"""One binary for every torch from 2.9 on: what the library takes from torch is torch's stable interface."""

import subprocess
from pathlib import Path

import torch

from openmm_so3krates import _engine

ROOT = Path(__file__).parents[2]
LIBRARY = Path(_engine.__file__).with_name("libso3krates_torch.so")


def compile_check(include: Path) -> subprocess.CompletedProcess:
    command = ["g++", "-std=c++20", "-fsyntax-only", f"-I{Path(torch.__file__).parent / 'include'}", f"-I{include}"]
    command.append(str(ROOT / "tests" / "torch_operator" / "check_stable_abi.cpp"))
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_declared_as_torch_does():
    done = compile_check(ROOT / "kernels")
    assert done.returncode == 0, done.stderr


def test_another_declaration_would_be_noticed(tmp_path):
    text = (ROOT / "kernels" / "torch" / "stable_abi.h").read_text()
    assert "int64_t *dim" in text
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "stable_abi.h").write_text(text.replace("int64_t *dim", "int32_t *dim"))
    done = compile_check(tmp_path)
    assert "aoti_torch_get_dim" in done.stderr


def undefined_symbols() -> list[str]:
    done = subprocess.run(["nm", "-D", "--undefined-only", str(LIBRARY)], capture_output=True, text=True, check=True)
    return [line.split()[-1] for line in done.stdout.splitlines()]


def test_nothing_of_torch_but_the_stable_interface():
    """No C++ names of torch, which change with every version, and no Python."""
    symbols = undefined_symbols()
    assert any(symbol.startswith("aoti_torch_") for symbol in symbols)
    assert not [symbol for symbol in symbols if "c10" in symbol or "2at" in symbol or symbol.startswith("Py")]
