"""Modules saved by one process and loaded by another; the models behind them; threads and forks."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from operator_helpers import tensor, torch_potential, write_model
from random_models import random_box, random_molecule

import openmm_so3krates
from openmm_so3krates.torch import describe_model

SYSTEM = random_box(2)
PACKAGE = Path(openmm_so3krates.__file__).parents[1]

LOAD = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
import openmm_so3krates  # registers the operators, as torch is there already
potential = torch.jit.load(sys.argv[2])
energy, forces, charges = potential(*torch.load(sys.argv[3], weights_only=True))
torch.save((energy, forces, charges), sys.argv[4])
"""


def save_and_load(potential, folder: Path, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Evaluates the module in a new process, which leaves results.pt."""
    torch.jit.script(potential).save(str(folder / "module.pt"))
    torch.save((tensor(SYSTEM.positions), tensor(SYSTEM.cell)), folder / "input.pt")
    files = [str(folder / name) for name in ("module.pt", "input.pt", "results.pt")]
    return subprocess.run(
        [sys.executable, "-c", LOAD, str(PACKAGE), *files], capture_output=True, text=True, check=False, cwd=cwd
    )


@pytest.fixture
def own_model(tmp_path) -> Path:
    """A model file that the test may change."""
    return write_model(tmp_path / "own.safetensors")


@pytest.mark.parametrize("embed", [False, True], ids=["by path", "embedded"])
def test_saved_module_in_a_new_process(own_model, tmp_path, monkeypatch, embed):
    """The same bits, whatever the working directory; an embedded model needs no file."""
    monkeypatch.chdir(own_model.parent)
    potential = torch_potential(f"./{own_model.name}", SYSTEM, embed_model=embed)
    expected = potential(tensor(SYSTEM.positions), tensor(SYSTEM.cell))
    if embed:
        own_model.unlink()
    done = save_and_load(potential, tmp_path, cwd=Path("/"))
    assert done.returncode == 0, done.stderr
    results = torch.load(tmp_path / "results.pt", weights_only=True)
    for got, wanted in zip(results, expected, strict=True):
        assert torch.equal(got, wanted)


def test_another_model_under_the_same_name_is_refused(own_model, tmp_path):
    potential = torch_potential(own_model, SYSTEM)
    write_model(own_model, seed=1)
    done = save_and_load(potential, tmp_path)
    assert done.returncode != 0
    assert "has the SHA-256" in done.stderr
    assert "make the module or force anew" in done.stderr


def test_missing_model(own_model, tmp_path):
    potential = torch_potential(own_model, SYSTEM)
    own_model.unlink()
    done = save_and_load(potential, tmp_path)
    assert done.returncode != 0
    assert str(own_model) in done.stderr


def test_module_that_moves_keeps_its_atoms_on_the_cpu(model_path):
    """What a potential is made of is read on the host; `to` must not take it to a GPU."""
    potential = torch.jit.script(torch_potential(model_path, SYSTEM, embed_model=True)).to("meta")
    assert {part.device.type for part in (potential.atomic_numbers, potential.model, potential.model_file)} == {"cpu"}


def test_more_potentials_than_are_kept(model_path):
    """The first of many is made again, from its description."""
    cutoffs = [4.0 + 0.1 * k for k in range(12)]
    potentials = [torch_potential(model_path, SYSTEM, lr_cutoff=cutoff) for cutoff in cutoffs]
    given = tensor(SYSTEM.positions), tensor(SYSTEM.cell)
    energies = [potential(*given)[0].item() for potential in potentials]
    assert len(set(energies)) == len(energies)
    assert [potential(*given)[0].item() for potential in potentials] == energies


def test_threads_take_turns(model_path):
    systems = [random_molecule(1), random_box(2), random_molecule(3, 12, 5.0)]

    def compute(system):
        potential = torch_potential(model_path, system, threads=2)
        return potential(tensor(system.positions), tensor(system.cell))

    expected = [compute(system) for system in systems]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(compute, 20 * systems))
    for k, result in enumerate(results):
        assert all(torch.equal(got, wanted) for got, wanted in zip(result, expected[k % 3], strict=True))


FORK = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import torch
from openmm_so3krates.torch import TorchPotential
positions = torch.tensor([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
potential = TorchPotential(sys.argv[2], [8, 1, 1], threads=2)
before = potential(positions)
child = os.fork()
if child == 0:
    signal.alarm(60)  # ends the child if it hangs
    os._exit(0 if torch.equal(potential(positions)[1], before[1]) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_fork(model_path):
    """The threads stay behind in the parent; the child gets its own instead of waiting for them for ever."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(PACKAGE), str(model_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# --- errors -----------------------------------------------------------------------------------------------------------

BAD_INPUT = {
    "positions in nm of the wrong shape": ({0: torch.zeros(5, 2)}, r"positions must have shape \(N, 3\), not \(5, 2\)"),
    "a batch": ({0: torch.zeros(1, 5, 3)}, r"positions must have shape \(N, 3\), not \(1, 5, 3\)"),
    "half precision": ({0: torch.zeros(5, 3, dtype=torch.half)}, "positions must be float32 or float64"),
    "numbers of other atoms": ({1: torch.ones(4, dtype=torch.int64)}, r"atomic_numbers must have shape \(5,\)"),
    "numbers with fractions": ({1: torch.ones(5)}, "atomic_numbers must be int32 or int64"),
    "huge number": ({1: torch.full((5,), 2**40)}, "out of range"),
    "unknown element": ({1: torch.full((5,), 79)}, "79"),
    "box lengths": ({2: torch.ones(3)}, r"cell must have shape \(3, 3\), not \(3,\)"),
    "flat box": ({2: torch.ones(3, 3)}, "box|cell"),
    "not a number": ({0: torch.full((5, 3), float("nan"))}, "finite"),
    "coincident atoms": ({0: torch.zeros(5, 3), 2: None}, "same place"),
    "charge": ({3: float("nan")}, "charge"),
    "a name as the model": ({5: torch.tensor(list(b"so3lr"), dtype=torch.uint8)}, "description is not valid"),
    "numbers as the model": ({5: torch.ones(5)}, "model must be uint8"),
    "empty description": ({5: torch.tensor(list(b"{}"), dtype=torch.uint8)}, "no usable 'model'"),
}


@pytest.mark.parametrize("changes, message", BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input(model_path, changes, message):
    given = [
        tensor(SYSTEM.positions),
        torch.tensor(SYSTEM.atomic_numbers),
        tensor(SYSTEM.cell),
        0.0,
        0.0,
        describe_model(model_path),
        None,
        False,
    ]
    for index, value in changes.items():
        given[index] = value
    with pytest.raises(ValueError, match=message):
        torch.ops.so3krates.energy_forces(*given)


def test_embedded_file_that_is_another(model_path):
    given = (tensor(SYSTEM.positions), torch.tensor(SYSTEM.atomic_numbers), None, 0.0, 0.0)
    text = json.loads(bytes(describe_model(model_path)))
    description = torch.tensor(list(json.dumps(text | {"sha256": 64 * "0"}).encode()), dtype=torch.uint8)
    file = torch.tensor(list(model_path.read_bytes()), dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="SHA-256"):
        torch.ops.so3krates.evaluate(*given, description, file, False)


@pytest.mark.parametrize(
    "settings", [{"precision": "half"}, {"threads": 0}, {"threads": True}, {"lr_cutoff": -1.0}, {"lr_cutoff": "wide"}]
)
def test_bad_settings(model_path, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        describe_model(model_path, **settings)
