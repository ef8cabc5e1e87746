"""`Potential` with positions and results on the device, executed on the CPU, with a pretended library of arrays."""

import fake_gpu
import numpy as np
import pytest
from cases import load_case
from emulated_potential import EmulatedPotential
from fake_gpu import FakeArray
from random_models import hyperparameters, random_box, random_model, random_molecule
from test_cuda_potential import ODD

from openmm_so3krates import Potential
from openmm_so3krates.device_arrays import is_on_gpu


@pytest.fixture
def potential(emulated, tmp_path, monkeypatch):
    fake_gpu.install(monkeypatch)
    path = tmp_path / "odd.safetensors"
    random_model(hyperparameters(**ODD, zbl=True)).save(path, {"source": "random numbers"})
    return EmulatedPotential(emulated("odd_double"), path, 5.0)


def on_device(potential, positions, **options):
    return FakeArray(np.asarray(positions), potential.device, **options)


def test_same_bits_as_from_the_host(potential):
    system = random_box()
    arguments = {"cell": system.cell, "virial": True}
    expected = potential.compute(system.atomic_numbers, system.positions, **arguments)
    downloads = potential.device.downloads
    result = potential.compute(system.atomic_numbers, on_device(potential, system.positions), **arguments)
    assert potential.device.downloads == downloads + 1  # sums over molecules, nothing per atom
    for name in ("forces", "partial_charges", "hirshfeld_ratios"):
        array = getattr(result, name)
        assert isinstance(array, FakeArray)
        assert array.values.tobytes() == getattr(expected, name).tobytes(), name
    assert result.energy == expected.energy and result.energy_parts == expected.energy_parts
    assert (result.virial == expected.virial).all() and (result.dipole == expected.dipole).all()


LAYOUTS = {
    "float32": lambda x: x.astype(np.float32),
    "columns": lambda x: np.asfortranarray(x),
    "every other atom": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "first three of four": lambda x: np.pad(x.astype(np.float32), ((0, 0), (0, 1)))[:, :3],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(potential, layout):
    system = random_molecule()
    positions = LAYOUTS[layout](system.positions)
    expected = potential.compute(system.atomic_numbers, np.ascontiguousarray(positions, dtype=np.float64))
    result = potential.compute(system.atomic_numbers, on_device(potential, positions))
    assert result.forces.values.tobytes() == expected.forces.tobytes()


def test_batch(potential):
    box, molecule = random_box(), random_molecule()
    numbers = np.concatenate([box.atomic_numbers, molecule.atomic_numbers])
    positions = np.concatenate([box.positions, molecule.positions])
    batch = {"offsets": [0, 5, 12], "cells": [box.cell, np.zeros((3, 3))], "charges": [0, 1]}
    expected = potential.compute_batch(numbers, positions, **batch, virial=True)
    result = potential.compute_batch(numbers, on_device(potential, positions), **batch, virial=True)
    assert result.forces.values.tobytes() == expected.forces.tobytes()
    assert (result.energies == expected.energies).all() and (result.virials == expected.virials).all()
    energies = potential.compute_batch(numbers, on_device(potential, positions), **batch, forces=False)
    assert energies.forces is None and (energies.energies == expected.energies).all()


def test_streams(potential):
    """The stream that the array names, or else the library's current one, is followed."""
    system = random_molecule()
    for stream, followed in ((7, 7), (1, 1), (None, 11)):
        potential.compute(system.atomic_numbers, on_device(potential, system.positions, stream=stream))
        assert potential.device.followed_streams[-1] == followed


class ByDlpackAlone:
    def __dlpack_device__(self):
        return (2, 0)


def test_what_cannot_be_used_is_refused(potential, so3lr):
    system = random_molecule()
    numbers, positions = system.atomic_numbers, system.positions

    def refused(message, positions=positions, error=ValueError, **arguments):
        with pytest.raises(error, match=message):
            potential.compute(arguments.pop("atomic_numbers", numbers), positions, **arguments)

    whole = np.ones(positions.shape, np.int64)
    refused("float32 or float64, not <i8", on_device(potential, whole))
    refused("float32 or float64, not >f8", on_device(potential, positions.astype(">f8")))
    refused("float32 or float64, not <f2", on_device(potential, positions.astype(np.float16)))
    refused(r"shape \(N, 3\), not \(7, 2\)", on_device(potential, positions[:, :2].copy()))
    refused("7 atomic_numbers but 6 positions", on_device(potential, positions[:6].copy()))
    refused("masked array", on_device(potential, positions, mask=object()))
    refused("position of atom 2", on_device(potential, np.where(np.arange(7)[:, None] == 2, np.inf, positions)))
    refused("atoms 0 and 1 .* same place", on_device(potential, positions[[0, 0, 2, 3, 4, 5, 6]].copy()))
    refused("cell is an array on a GPU", positions, cell=on_device(potential, np.eye(3) * 9))
    refused("atomic_numbers is an array on a GPU", atomic_numbers=on_device(potential, numbers))
    refused("give a torch tensor or a CuPy array", ByDlpackAlone())
    elsewhere = on_device(potential, positions, data=(16, False))
    refused("not an array in CUDA's memory", elsewhere, error=RuntimeError)
    with pytest.raises(ValueError, match="positions is an array on a GPU, and is needed on the host"):
        Potential(so3lr).compute(numbers, on_device(potential, positions))
    water = load_case("water")  # and the potential goes on
    potential.compute(water.atomic_numbers, on_device(potential, water.positions))


def test_what_is_on_a_gpu():
    torch = pytest.importorskip("torch")

    class RequiresGradient:
        """As torch's: denies one interface with an error that is no AttributeError."""

        @property
        def __cuda_array_interface__(self):
            raise RuntimeError("requires grad")

        def __dlpack_device__(self):
            return (2, 0)

    for value in (np.zeros(3), torch.zeros(3), torch.zeros(3, requires_grad=True), [1.0], None):
        assert not is_on_gpu(value)
    assert is_on_gpu(RequiresGradient()) and is_on_gpu(ByDlpackAlone())
