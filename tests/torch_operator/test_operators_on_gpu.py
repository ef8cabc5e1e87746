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


# --- in CUDA graphs


class Graphed:
    """A potential's call in a graph of torch's, warmed up before as torch demands."""

    def __init__(self, model_path, system, dtype=torch.float64, warm_up=3):
        self.potential = torch_potential(model_path, system)
        self.positions, self.cell = on_gpu(system.positions, dtype), on_gpu(system.cell, dtype)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(warm_up):
                self.potential(self.positions, self.cell)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.results = self.potential(self.positions, self.cell)

    def replay(self):
        self.graph.replay()
        return [result.cpu() for result in self.results]

    def expected(self):
        cell = None if self.cell is None else self.cell.cpu()
        return self.potential(self.positions.cpu(), cell)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("system", [random_molecule(1), random_box(2)], ids=["molecule", "box"])
def test_replays(model_path, system, dtype):
    """Small moves, moves out of the skin, other boxes; other calls in between, which need more memory."""
    graphed = Graphed(model_path, system, dtype)
    large = random_molecule(3, 60, 9.0)
    torch_potential(model_path, large)(on_gpu(large.positions))
    generator = torch.Generator("cuda").manual_seed(1)
    for scale in (1, 1, 1.04, 0.95):
        noise = torch.rand(graphed.positions.shape, generator=generator, device="cuda", dtype=dtype)
        graphed.positions.copy_(scale * on_gpu(system.positions, dtype) + 0.1 * noise)
        if system.cell is not None:
            graphed.positions += on_gpu(system.cell, dtype)[0]  # another image
            graphed.cell.copy_(scale * on_gpu(system.cell, dtype))
        for got, wanted in zip(graphed.replay(), graphed.expected(), strict=True):
            torch.testing.assert_close(got, wanted, rtol=0, atol=10 * TOLERANCES[dtype], check_dtype=False)


def test_a_graph_without_a_call_before(model_path):
    with pytest.raises(ValueError, match="call it once outside of the graph"):
        Graphed(model_path, random_molecule(8), warm_up=0)
    Graphed(model_path, random_molecule(8)).replay()


@pytest.mark.parametrize("system", [random_molecule(1), random_box(2)], ids=["molecule", "box"])
def test_bad_positions_in_a_replay_are_not_a_number(model_path, system):
    graphed = Graphed(model_path, system)
    assert all(result.isfinite().all() for result in graphed.replay())
    graphed.positions[1] = graphed.positions[0]
    assert all(result.isnan().all() for result in graphed.replay())
    graphed.positions.copy_(on_gpu(system.positions))
    assert all(result.isnan().all() for result in graphed.replay())


def test_memory_of_graphs_is_given_back(model_path):
    """A hundred graphs of a system that takes some MiB each."""
    system = random_molecule(4, 500, 22.0)
    free = []
    for _ in range(100):
        graphed = Graphed(model_path, system, warm_up=1)
        graphed.replay()
        del graphed
        free.append(torch.cuda.mem_get_info()[0])
    assert free[10] - free[-1] < 64 << 20
