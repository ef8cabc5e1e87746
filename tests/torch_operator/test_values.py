"""The torch operators: energies, forces and derivatives, in every way that torch calls an operator."""

import numpy as np
import pytest
import torch
from cases import load_case
from operator_helpers import LR_CUTOFF, tensor, torch_potential
from random_models import random_box, random_molecule

import openmm_so3krates.torch
from openmm_so3krates import Potential
from openmm_so3krates.torch import TorchPotential, describe_model

OPERATORS = [torch.ops.so3krates.energy_forces, torch.ops.so3krates.evaluate]


def arguments(model, system, dtype=torch.float64, virial=True) -> tuple:
    """Of the operators."""
    return (
        tensor(system.positions, dtype),
        torch.tensor(system.atomic_numbers),
        tensor(system.cell, dtype),
        system.charge,
        system.spin,
        describe_model(model, lr_cutoff=LR_CUTOFF, threads=1),
        None,
        virial,
    )


@pytest.mark.parametrize("name", ["aladip", "acetate", "methyl_radical", "water_8_smallcell"])
def test_equals_the_original_code(so3lr, name):
    case = load_case(name)
    potential = torch_potential(so3lr, case, lr_cutoff=case.lr_cutoff)
    energy, forces, charges = potential(tensor(case.positions), tensor(case.cell))
    assert energy.shape == ()
    assert energy.item() == pytest.approx(case.double.energy, abs=1e-8 * case.num_atoms)
    np.testing.assert_allclose(forces, case.double.forces, rtol=0, atol=1e-8)
    np.testing.assert_allclose(charges, case.double.partial_charges, rtol=0, atol=1e-8)


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
@pytest.mark.parametrize("system", [random_molecule(1), random_box(2)], ids=["molecule", "box"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_engine(model_path, operator, system, dtype):
    """Precision "auto" is that of the positions; the bits are the engine's, rounded to the positions' type."""
    precision = "double" if dtype == torch.float64 else "single"
    positions = tensor(system.positions, dtype).double().numpy()
    cell = None if system.cell is None else tensor(system.cell, dtype).double().numpy()
    expected = Potential(model_path, precision=precision, lr_cutoff=LR_CUTOFF, threads=1).compute(
        system.atomic_numbers, positions, cell, system.charge, system.spin, virial=True
    )
    energy, forces, charges, virial = operator(*arguments(model_path, system, dtype))
    assert energy.dtype == torch.float64
    assert energy.item() == expected.energy
    for result, wanted in [
        (forces, expected.forces),
        (charges, expected.partial_charges),
        (virial, expected.virial),
    ]:
        assert result.dtype == dtype
        assert torch.equal(result, tensor(wanted, dtype))


def test_precision_of_the_description(model_path):
    """A given precision holds whatever the positions' type."""
    system = random_molecule(1)
    positions = tensor(system.positions, torch.float32).double()
    single = torch_potential(model_path, system, precision="single")
    double = torch_potential(model_path, system, precision="double")
    assert single(positions)[0] == single(positions.float())[0]
    assert double(positions)[0] == double(positions.float())[0]
    assert single(positions)[0] != double(positions)[0]


def test_strides_and_integer_types(model_path):
    system = random_box(3)
    positions, numbers, cell, *rest = arguments(model_path, system)
    expected = torch.ops.so3krates.evaluate(positions, numbers, cell, *rest)
    wide = torch.zeros(2 * len(numbers), 7, dtype=torch.float64)
    wide[::2, 1:7:2] = positions
    odd = (wide[::2, 1:7:2], numbers.to(torch.int32).repeat_interleave(3)[::3], cell.T.contiguous().T)
    assert not any(part.is_contiguous() for part in odd)
    for got, wanted in zip(torch.ops.so3krates.evaluate(*odd, *rest), expected, strict=True):
        assert torch.equal(got, wanted)


# --- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", [random_molecule(4, 5), random_box(5, 4)], ids=["molecule", "box"])
def test_gradient_is_that_of_the_energy(model_path, system):
    """Against central differences of the energy, by positions and by box vectors."""
    potential = torch_potential(model_path, system)
    inputs = [tensor(system.positions).requires_grad_()]
    if system.cell is not None:
        inputs.append(tensor(system.cell).requires_grad_())
    assert torch.autograd.gradcheck(lambda *given: potential(*given)[0], inputs, eps=1e-5, atol=1e-6, rtol=1e-6)


def test_gradient_in_single_precision(model_path):
    system = random_molecule(1)
    positions = tensor(system.positions, torch.float32).requires_grad_()
    energy, forces, _ = torch_potential(model_path, system)(positions)
    (3 * energy).backward()
    assert positions.grad.dtype == torch.float32
    torch.testing.assert_close(positions.grad, -3 * forces.detach())


def test_only_first_derivatives_of_the_energy(model_path):
    system = random_molecule(1)
    potential = torch_potential(model_path, system)
    positions = tensor(system.positions).requires_grad_()
    energy, forces, charges = potential(positions)
    for result, name in ((forces, "forces"), (charges, "partial charges")):
        with pytest.raises(RuntimeError, match=f"first derivatives of the energy only: its {name}"):
            torch.autograd.grad(energy + result.square().sum(), positions, retain_graph=True)
    (gradient,) = torch.autograd.grad(energy, positions, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives of the energy only"):
        torch.autograd.grad(gradient.square().sum(), positions)


def test_gradient_by_the_cell_needs_the_virial(model_path):
    positions, numbers, cell, *rest, _ = arguments(model_path, random_box(5))
    energy, *_ = torch.ops.so3krates.energy_forces(positions, numbers, cell.requires_grad_(), *rest, False)
    with pytest.raises(RuntimeError, match="virial=True"):
        energy.backward()


# --- torch.compile, TorchScript ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_rules_of_operators(model_path, operator):
    """torch's own checks: schema, shapes without values, tracing with symbolic sizes."""
    for dtype in (torch.float32, torch.float64):
        for virial in (True, False):
            torch.library.opcheck(operator.default, arguments(model_path, random_box(2), dtype, virial))


def test_compile(model_path):
    """Without a break in the graph; only torch's code generator is left out, which would compile for a minute."""
    system = random_box(2)
    potential = torch_potential(model_path, system)
    compiled = torch.compile(potential, fullgraph=True, backend="aot_eager")
    positions, cell = tensor(system.positions).requires_grad_(), tensor(system.cell).requires_grad_()
    expected = torch.autograd.grad(potential(positions, cell)[0], (positions, cell))
    energy, forces, _ = compiled(positions, cell)
    for got, wanted in zip(torch.autograd.grad(energy, (positions, cell)), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
    _, forces, _ = compiled(positions, cell)
    with pytest.raises(RuntimeError, match="first derivatives of the energy only"):
        forces.square().sum().backward()


def test_export(model_path):
    system = random_box(2)
    potential = torch_potential(model_path, system)
    given = tensor(system.positions), tensor(system.cell)
    exported = torch.export.export(potential, given).module()
    for got, wanted in zip(exported(*given), potential(*given), strict=True):
        assert torch.equal(got, wanted)


def test_meta_device(model_path):
    positions, *rest = arguments(model_path, random_box(2), torch.float32, virial=False)
    results = torch.ops.so3krates.evaluate(positions.to("meta"), *rest)
    assert [result.shape for result in results] == [(), (5, 3), (5,), (0, 3)]
    assert [result.dtype for result in results] == [torch.float64, *3 * [torch.float32]]
    assert {result.device.type for result in results} == {"meta"}


def test_script(model_path):
    system = random_box(2)
    potential = torch_potential(model_path, system)
    scripted = torch.jit.script(potential)
    given = tensor(system.positions).requires_grad_(), tensor(system.cell)
    for got, wanted in zip(scripted(*given), potential(*given), strict=True):
        assert torch.equal(got, wanted)
    energy, forces, _ = scripted(*given)
    energy.backward()
    assert torch.equal(given[0].grad, -forces.detach())


def test_kernel_for_gpus_refuses_positions_on_the_cpu(model_path):
    """As far as that kernel can be called without a GPU: as if another argument were on one."""
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
    with pytest.raises(ValueError, match="positions are on the CPU and another argument on a GPU"):
        torch.ops.so3krates.evaluate.default.redispatch(keys, *arguments(model_path, random_box(2)))


def test_registered_with_the_package():
    assert openmm_so3krates.torch.TorchPotential is TorchPotential
    for name in ("energy_forces", "evaluate"):
        for key in ("CPU", "CUDA"):
            assert torch._C._dispatch_has_kernel_for_dispatch_key(f"so3krates::{name}", key)
