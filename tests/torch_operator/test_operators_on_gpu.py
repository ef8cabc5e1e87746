"""The operators on tensors in a GPU's memory, against the CPU. scripts/gpu_check.sh; has never run."""

import numpy as np
import pytest
import torch
from cases import load_case
from operator_helpers import tensor, torch_potential
from random_models import random_box, random_molecule

from openmm_so3krates.torch import TorchPotential

pytestmark = pytest.mark.gpu
TOLERANCES = {torch.float64: 1e-9, torch.float32: 2e-4}


def on_gpu(array, dtype=torch.float64):
    return None if array is None else tensor(array, dtype).cuda()


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("system", [random_molecule(1), random_box(2)], ids=["molecule", "box"])
def test_as_on_the_cpu(model_path, system, dtype):
    potential = torch_potential(model_path, system)
    expected = potential(tensor(system.positions), tensor(system.cell))
    results = potential(on_gpu(system.positions, dtype), on_gpu(system.cell, dtype))
    assert [result.dtype for result in results] == [torch.float64, dtype, dtype]
    assert {result.device.type for result in results} == {"cuda"}
    for got, wanted in zip(results, expected, strict=True):
        torch.testing.assert_close(got.cpu().double(), wanted, rtol=0, atol=TOLERANCES[dtype])


def test_equals_the_original_code(so3lr):
    case = load_case("water_8_smallcell")
    potential = TorchPotential(so3lr, case.atomic_numbers, lr_cutoff=case.lr_cutoff)
    energy, forces, _ = potential(on_gpu(case.positions), on_gpu(case.cell))
    assert energy.item() == pytest.approx(case.double.energy, abs=1e-8 * case.num_atoms)
    np.testing.assert_allclose(forces.cpu(), case.double.forces, rtol=0, atol=1e-8)


def test_strides(model_path):
    system = random_box(3)
    potential = torch_potential(model_path, system)
    positions = on_gpu(system.positions)
    wide = torch.zeros(2 * len(positions), 7, dtype=torch.float64, device="cuda")
    wide[::2, 1:7:2] = positions
    for got, wanted in zip(potential(wide[::2, 1:7:2]), potential(positions), strict=True):
        assert torch.equal(got, wanted)


def test_gradient(model_path):
    system = random_box(4)
    gradients = []
    for device in ("cpu", "cuda"):
        given = [tensor(array).to(device).requires_grad_() for array in (system.positions, system.cell)]
        energy, *_ = torch_potential(model_path, system)(*given)
        gradients.append([gradient.cpu() for gradient in torch.autograd.grad(energy, given)])
    for got, wanted in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-8)


def test_order_of_work_on_the_current_stream(model_path):
    """Positions that a busy stream has yet to make are waited for."""
    system = random_molecule(1)
    potential = torch_potential(model_path, system)
    expected = potential(on_gpu(system.positions))
    busy = torch.randn(4000, 4000, device="cuda")
    with torch.cuda.stream(torch.cuda.Stream()):
        for _ in range(20):
            busy = busy @ busy / busy.norm()
        positions = on_gpu(system.positions) + 0 * busy.sum().double().nan_to_num()
        results = potential(positions)
        doubled = 2 * results[1]
    torch.cuda.synchronize()
    assert torch.equal(results[1], expected[1])
    assert torch.equal(doubled, 2 * expected[1])


def test_steps_that_change_the_box_and_the_atoms(model_path):
    """One potential serves systems in turn."""
    systems = [random_molecule(1), random_box(2), random_molecule(3, 12, 5.0)]
    potentials = [torch_potential(model_path, system) for system in systems]
    for _ in range(2):
        for system, potential in zip(systems, potentials, strict=True):
            expected = potential(tensor(system.positions), tensor(system.cell))
            results = potential(on_gpu(system.positions), on_gpu(system.cell))
            torch.testing.assert_close(results[1].cpu(), expected[1], rtol=0, atol=1e-8)


def test_positions_on_the_cpu_and_a_box_on_the_gpu(model_path):
    system = random_box(2)
    with pytest.raises(ValueError, match="another argument on a GPU"):
        torch_potential(model_path, system)(tensor(system.positions), on_gpu(system.cell))


def test_errors_of_the_engine(model_path):
    potential = torch_potential(model_path, random_molecule(1))
    with pytest.raises(ValueError, match="same place"):
        potential(torch.zeros(7, 3, device="cuda"))
