"""One Potential used by several Python threads, or by a process and its fork."""

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from random_models import EMBEDDINGS, PHYSICS, hyperparameters, random_box, random_model, random_molecule

import openmm_so3krates

SYSTEMS = [random_molecule(1), random_box(2), random_molecule(3, 12, 5.0)]


@pytest.mark.parametrize("threads", [1, 2])
def test_python_threads(engine_of, threads):
    """Calls take turns: none writes into the work space of another, of a system of another size."""
    potential = engine_of(random_model(hyperparameters(**PHYSICS, **EMBEDDINGS)), threads=threads)

    def compute(system):
        return potential.compute(system.atomic_numbers, system.positions, **system.call)

    expected = [compute(system) for system in SYSTEMS]
    kinds = np.arange(300) % len(SYSTEMS)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda kind: compute(SYSTEMS[kind]), kinds))
    for kind, result in zip(kinds, results, strict=True):
        assert result.energy == expected[kind].energy
        assert np.array_equal(result.forces, expected[kind].forces)
        assert np.array_equal(result.partial_charges, expected[kind].partial_charges)


FORK = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from openmm_so3krates import Potential

water = ([8, 1, 1], [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
potential, unused = Potential(sys.argv[2], threads=2), Potential(sys.argv[2], threads=2)
before = potential.compute(*water)
child = os.fork()
if child == 0:
    signal.alarm(60)  # ends the child if it hangs
    after = potential.compute(*water)
    same = after.energy == before.energy and (after.forces == before.forces).all() and potential.threads == 2
    del potential, unused  # neither waits for threads of the parent
    os._exit(0 if same else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert (potential.compute(*water).forces == before.forces).all()
"""


def test_fork(so3lr):
    """The threads stay behind in the parent; the child gets its own instead of waiting for them for ever."""
    package = Path(openmm_so3krates.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", FORK, package, so3lr], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr


class Labelled(openmm_so3krates.Potential):
    """A subclass with another signature and an attribute."""

    def __init__(self, label, model):
        super().__init__(model, lr_cutoff=7, threads=2, precision="double")
        self.label = label


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_subclasses(random_potential, protocol):
    potential = Labelled("water", random_potential.model)
    assert copy.copy(potential) is potential and copy.deepcopy(potential) is potential
    other = pickle.loads(pickle.dumps(potential, protocol))
    assert type(other) is Labelled and other.label == "water" and other is not potential
    assert (other.threads, other.implementation) == (2, potential.implementation)
    system = SYSTEMS[1]
    forces = [
        each.compute(system.atomic_numbers, system.positions, **system.call).forces for each in (other, potential)
    ]
    assert np.array_equal(*forces)
