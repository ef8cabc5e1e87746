"""SO3kratesForce.to_python_force: the same energy through OpenMM's PythonForce."""

import copy
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import openmm
import pytest
from cases import load_case
from openmm_helpers import EV, energy_of, forces_of, make_context, make_force, make_system

import openmm_so3krates
from openmm_so3krates import SO3kratesForce

PACKAGE = Path(openmm_so3krates.__file__).parents[1]


def python_system(model, case, **settings) -> openmm.System:
    system = make_system(case)
    system.addForce(make_force(model, case, **settings).to_python_force())
    return system


@pytest.mark.parametrize("name", ["acetate", "methyl_radical", "water_8_smallcell", "water_64_triclinic_lr6"])
@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_equals_the_original_code(so3lr, name, platform):
    case = load_case(name)
    context = make_context(python_system(so3lr, case, precision="double"), case.positions, platform)
    assert energy_of(context) / EV == pytest.approx(case.double.energy, abs=1e-8 * case.num_atoms)
    np.testing.assert_allclose(forces_of(context) / (10 * EV), case.double.forces, rtol=0, atol=1e-8)


def test_auto_is_single_precision(so3lr):
    case = load_case("aladip")
    auto = make_context(python_system(so3lr, case), case.positions)
    single = make_context(python_system(so3lr, case, precision="single"), case.positions)
    double = make_context(python_system(so3lr, case, precision="double"), case.positions)
    assert energy_of(auto) == energy_of(single) != energy_of(double)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_region(so3lr, platform):
    """Some particles, in an order of their own, of a periodic System that the region does not see."""
    case = load_case("ethanol")
    particles = np.random.default_rng(0).permutation(30)[: case.num_atoms]
    positions = np.random.default_rng(1).uniform(0, 20, size=(30, 3))
    positions[particles] = case.positions
    forces, energies = [], []
    for convert in (lambda force: force, SO3kratesForce.to_python_force):
        system = openmm.System()
        system.setDefaultPeriodicBoxVectors([2, 0, 0], [0, 2, 0], [0, 0, 2])
        for _ in range(30):
            system.addParticle(12)
        system.addForce(convert(make_force(so3lr, case, atoms=particles, precision="double")))
        context = make_context(system, positions, platform)
        energies.append(energy_of(context))
        forces.append(forces_of(context))
    assert energies[0] == pytest.approx(energies[1], abs=1e-6)
    np.testing.assert_allclose(forces[0], forces[1], rtol=0, atol=1e-6)
    assert np.all(np.delete(forces[1], particles, axis=0) == 0)


def test_scale_and_its_parameter(so3lr):
    case = load_case("water")
    settings = {"scale": -0.5, "scale_parameter": "lambda", "scale_parameter_default": 0.4, "precision": "double"}
    context = make_context(python_system(so3lr, case, **settings), case.positions)
    for value in (0.4, 3.0):
        assert energy_of(context) / EV == pytest.approx(-0.5 * value * case.double.energy, abs=1e-7)
        expected = -0.5 * value * case.double.forces
        np.testing.assert_allclose(forces_of(context) / (10 * EV), expected, rtol=0, atol=1e-8)
        context.setParameter("lambda", 3.0)
    force = make_force(so3lr, case, **settings)
    force.addEnergyParameterDerivative("lambda")
    with pytest.raises(ValueError, match="no derivative"):
        force.to_python_force()


def test_name_group_and_periodicity(so3lr):
    for name in ("water", "water_8_smallcell"):
        force = make_force(so3lr, load_case(name))
        force.setName("region")
        force.setForceGroup(5)
        converted = force.to_python_force()
        assert (converted.getName(), converted.getForceGroup()) == ("region", 5)
        assert converted.usesPeriodicBoundaryConditions() == force.usesPeriodicBoundaryConditions()


def test_copy_of_a_system(so3lr):
    case = load_case("water")
    system = python_system(so3lr, case)
    context = make_context(copy.deepcopy(system), case.positions)
    assert energy_of(context) == energy_of(make_context(system, case.positions))


READ = """
import sys
sys.path.insert(0, sys.argv[1])
import openmm
system = openmm.XmlSerializer.deserialize(open(sys.argv[2]).read())
context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
context.setPositions([[0, 0, 0], [0.096, 0, 0], [-0.024, 0.093, 0]])
print(context.getState(getEnergy=True).getPotentialEnergy()._value)
"""


@pytest.mark.parametrize("embed", [False, True], ids=["by path", "embedded"])
def test_xml_in_a_new_process(so3lr, tmp_path, embed):
    model = tmp_path / "model.safetensors"
    model.write_bytes(so3lr.read_bytes())
    case = load_case("water")
    system = python_system(model, case, embed_model=embed)
    energy = energy_of(make_context(system, [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]))
    (tmp_path / "system.xml").write_text(openmm.XmlSerializer.serialize(system))

    def read() -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", READ, str(PACKAGE), str(tmp_path / "system.xml")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    if embed:
        model.unlink()
        assert float(read().stdout) == energy
        return
    assert float(read().stdout) == energy
    data = bytearray(so3lr.read_bytes())
    data[-4] ^= 1  # the last bit of a weight
    model.write_bytes(data)
    assert "SHA-256" in read().stderr
    model.unlink()
    assert "No such file" in read().stderr


def test_errors_of_the_engine_reach_the_user(so3lr):
    case = load_case("water")
    context = make_context(python_system(so3lr, case), np.zeros((3, 3)))
    with pytest.raises(openmm.OpenMMException, match="same place"):
        energy_of(context)


def test_unknown_device(so3lr):
    with pytest.raises(ValueError, match="device must be"):
        make_force(so3lr, load_case("water")).to_python_force(device="opencl")


@pytest.mark.skipif(importlib.util.find_spec("openmmtorch") is not None, reason="openmm-torch is installed")
def test_torch_force_without_openmm_torch(so3lr):
    with pytest.raises(ImportError, match="needs openmm-torch, which is not installed: pip install"):
        make_force(so3lr, load_case("water")).to_torch_force()
