"""SO3kratesForce.to_torch_force: the same energy through openmm-torch."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import openmm
import pytest
import torch
from cases import load_case
from openmm import unit
from openmm_helpers import EV, energy_of, forces_of, make_context, make_force, make_system, positions_of

import openmm_so3krates
from openmm_so3krates import SO3kratesForce

openmmtorch = pytest.importorskip("openmmtorch", reason="needs openmm-torch: make test runs it in .venv-torchforce")

PACKAGE = Path(openmm_so3krates.__file__).parents[1]
PLATFORMS = ["Reference", "CPU"]


def torch_system(model, case, **settings) -> openmm.System:
    system = make_system(case)
    system.addForce(make_force(model, case, **settings).to_torch_force())
    return system


def native_system(model, case, **settings) -> openmm.System:
    system = make_system(case)
    system.addForce(make_force(model, case, **settings))
    return system


@pytest.mark.parametrize(
    "name",
    ["ac_ala3_nhme", "acetate", "methyl_radical", "single_atom", "water_8_smallcell", "water_64_triclinic_lr6"],
)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_equals_the_native_force_and_the_original_code(so3lr, name, platform):
    case = load_case(name)
    context = make_context(torch_system(so3lr, case, precision="double"), case.positions, platform)
    native = make_context(native_system(so3lr, case, precision="double"), case.positions, platform)
    assert energy_of(context) == pytest.approx(energy_of(native), rel=1e-12)
    np.testing.assert_allclose(forces_of(context), forces_of(native), rtol=0, atol=1e-7)
    assert energy_of(context) / EV == pytest.approx(case.double.energy, abs=1e-8 * case.num_atoms)
    np.testing.assert_allclose(forces_of(context) / (10 * EV), case.double.forces, rtol=0, atol=1e-8)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_single_precision(so3lr, platform):
    case = load_case("water_8_smallcell")
    context = make_context(torch_system(so3lr, case, precision="single"), case.positions, platform)
    native = make_context(native_system(so3lr, case, precision="single"), case.positions, platform)
    assert energy_of(context) == pytest.approx(energy_of(native), rel=1e-12)
    np.testing.assert_allclose(forces_of(context), forces_of(native), rtol=0, atol=1e-7)
    double = make_context(torch_system(so3lr, case, precision="double"), case.positions, platform)
    auto = make_context(torch_system(so3lr, case), case.positions, platform)
    assert energy_of(auto) == energy_of(double) != energy_of(context)


def test_no_long_range_cutoff(so3lr):
    case = load_case("aladip")
    context = make_context(torch_system(so3lr, case, lr_cutoff=None), case.positions)
    assert energy_of(context) / EV == pytest.approx(case.no_cutoff.energy, abs=1e-8 * case.num_atoms)


@pytest.mark.parametrize("name", ["ethanol", "water_8_smallcell"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_region(so3lr, name, platform):
    """Some particles, in an order of their own, with and without the System's box."""
    case = load_case(name)
    count = case.num_atoms + 10
    rng = np.random.default_rng(0)
    particles = rng.permutation(count)[: case.num_atoms]
    positions = rng.uniform(0, 20, size=(count, 3))
    positions[particles] = case.positions
    contexts = []
    for convert in (lambda force: force, SO3kratesForce.to_torch_force):
        system = openmm.System()
        cell = np.eye(3) * 20 if case.cell is None else case.cell
        system.setDefaultPeriodicBoxVectors(*(cell / 10))
        for _ in range(count):
            system.addParticle(12)
        system.addForce(convert(make_force(so3lr, case, atoms=particles, precision="double")))
        contexts.append(make_context(system, positions, platform))
    native, context = contexts
    assert energy_of(context) == pytest.approx(energy_of(native), rel=1e-12)
    np.testing.assert_allclose(forces_of(context), forces_of(native), rtol=0, atol=1e-7)
    assert np.all(np.delete(forces_of(context), particles, axis=0) == 0)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_dynamics(so3lr, platform):
    """The trajectory of the native force, under a barostat's and a thermostat's random numbers too."""
    case = load_case("water_8_smallcell")
    positions, boxes = [], []
    for make in (native_system, torch_system):
        system = make(so3lr, case, precision="double")
        barostat = openmm.MonteCarloBarostat(1, 300, 5)
        barostat.setRandomNumberSeed(1)
        system.addForce(barostat)
        integrator = openmm.LangevinMiddleIntegrator(300, 10, 0.0005)
        integrator.setRandomNumberSeed(1)
        context = make_context(system, case.positions, platform, integrator)
        context.setVelocitiesToTemperature(300, 1)
        integrator.step(30)
        positions.append(positions_of(context))
        boxes.append(context.getState().getPeriodicBoxVectors(asNumpy=True)._value)
    assert np.abs(positions[0] - case.positions / 10).max() > 1e-3
    assert np.abs(boxes[0] - case.cell / 10).max() > 1e-6
    # Without a barostat's change of the box in one of them only, and without chaos in 15 fs.
    np.testing.assert_allclose(boxes[1], boxes[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(positions[1], positions[0], rtol=0, atol=1e-8)


def test_name_group_and_periodicity(so3lr):
    for name in ("water", "water_8_smallcell"):
        force = make_force(so3lr, load_case(name))
        force.setName("region")
        force.setForceGroup(5)
        converted = force.to_torch_force()
        assert (converted.getName(), converted.getForceGroup()) == ("region", 5)
        assert converted.usesPeriodicBoundaryConditions() == force.usesPeriodicBoundaryConditions()
        assert converted.getOutputsForces()


def test_copy_of_a_system(so3lr):
    case = load_case("water")
    system = torch_system(so3lr, case)
    energy = energy_of(make_context(system, case.positions))
    assert energy_of(make_context(copy.deepcopy(system), case.positions)) == energy
    assert energy_of(make_context(copy.copy(system), case.positions)) == energy


READ = """
import sys
sys.path.insert(0, sys.argv[1])
import torch, openmm, openmmtorch, openmm_so3krates
if sys.argv[2].endswith(".xml"):
    system = openmm.XmlSerializer.deserialize(open(sys.argv[2]).read())
else:
    system = openmm.System()
    for _ in range(3):
        system.addParticle(1)
    force = openmmtorch.TorchForce(sys.argv[2])
    force.setOutputsForces(True)
    system.addForce(force)
context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
context.setPositions([[0, 0, 0], [0.096, 0, 0], [-0.024, 0.093, 0]])
print(context.getState(getEnergy=True).getPotentialEnergy()._value)
"""


def run(script: str, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", script, str(PACKAGE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("embed", [False, True], ids=["by path", "embedded"])
def test_in_a_new_process(so3lr, tmp_path, embed):
    """From XML and from a module saved to a file."""
    model = tmp_path / "model.safetensors"
    model.write_bytes(so3lr.read_bytes())
    case = load_case("water")
    force = make_force(model, case, embed_model=embed).to_torch_force()
    force.getModule().save(str(tmp_path / "module.pt"))
    system = make_system(case)
    system.addForce(force)
    energy = energy_of(make_context(system, [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]))
    (tmp_path / "system.xml").write_text(openmm.XmlSerializer.serialize(system))
    if embed:
        model.unlink()
    for name in ("system.xml", "module.pt"):
        done = run(READ, tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert float(done.stdout) == energy


def test_errors_of_the_engine_reach_the_user(so3lr):
    case = load_case("water")
    context = make_context(torch_system(so3lr, case), np.zeros((3, 3)))
    with pytest.raises(openmm.OpenMMException, match="same place"):
        energy_of(context)


def test_wrong_number_of_particles(so3lr):
    case = load_case("water")
    system = torch_system(so3lr, case)
    system.addParticle(1)
    with pytest.raises(openmm.OpenMMException, match="atomic_numbers must have shape"):
        energy_of(make_context(system, np.arange(12).reshape(4, 3)))


def test_scale(so3lr):
    case = load_case("water")
    context = make_context(torch_system(so3lr, case, scale=-0.5), case.positions)
    assert energy_of(context) / EV == pytest.approx(-0.5 * case.double.energy, abs=1e-7)
    np.testing.assert_allclose(forces_of(context) / (10 * EV), -0.5 * case.double.forces, rtol=0, atol=1e-8)
    with pytest.raises(ValueError, match="'lambda'"):
        torch_system(so3lr, case, scale_parameter="lambda")


def test_charge_is_copied(so3lr):
    case = load_case("acetate")
    force = make_force(so3lr, case)
    converted = force.to_torch_force()
    force.setCharge(0 * unit.elementary_charge)
    system = make_system(case)
    system.addForce(converted)
    energy = energy_of(make_context(system, case.positions))
    assert energy / EV == pytest.approx(case.double.energy, abs=1e-6)


class PretendedPythonTorchForce:
    """What to_python_torch_force needs of openmm-torch's class, which openmmtorch 1.5 has not."""

    def __init__(self, computation):
        self.computation = pickle.loads(pickle.dumps(computation))

    def setUsesPeriodicBoundaryConditions(self, periodic):
        self.periodic = periodic

    def setForceGroup(self, group):
        self.group = group

    def setName(self, name):
        self.name = name


@pytest.mark.parametrize("name", ["ethanol", "water_8_smallcell"])
def test_function_of_a_python_torch_force(so3lr, monkeypatch, name):
    case = load_case(name)
    force = make_force(so3lr, case, precision="double")
    with pytest.raises(ImportError, match="has no PythonTorchForce"):
        force.to_python_torch_force()
    monkeypatch.setattr(openmmtorch, "PythonTorchForce", PretendedPythonTorchForce, raising=False)
    converted = force.to_python_torch_force()
    assert converted.periodic == (case.cell is not None)
    system = native_system(so3lr, case)
    state = make_context(system, case.positions).getState(getPositions=True)
    energy, forces = converted.computation(state, torch.tensor(case.positions / 10))
    assert energy.item() / EV == pytest.approx(case.double.energy, abs=1e-8 * case.num_atoms)
    np.testing.assert_allclose(forces / (10 * EV), case.double.forces, rtol=0, atol=1e-8)


TO_TORCH_FORCE = """
import sys
sys.path.insert(0, sys.argv[1])
import {first}, {second}
import openmm_so3krates
openmm_so3krates.SO3kratesForce(sys.argv[2], atomic_numbers=[8, 1, 1]).to_torch_force()
print("made")
"""


def test_torch_before_openmm(so3lr):
    assert run(TO_TORCH_FORCE.format(first="torch", second="openmm"), so3lr).stdout.endswith("made\n")


def test_openmm_before_torch(so3lr):
    """Works or is refused with the reason: it depends on the build of torch whether openmm-torch is found then."""
    done = run(TO_TORCH_FORCE.format(first="openmm", second="torch"), so3lr)
    if openmm_finds_openmm_torch():
        assert done.stdout.endswith("made\n")
    else:
        assert "begin the program with 'import torch'" in done.stderr


def openmm_finds_openmm_torch() -> bool:
    done = run("import openmm; print(*openmm.Platform.getPluginLoadFailures())")
    return "OpenMMTorchReference" not in done.stdout


def test_example(so3lr):
    """examples/torch_force.py, in short."""
    script = Path(__file__).parents[2] / "examples" / "torch_force.py"
    command = [sys.executable, str(script), "--steps", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    difference = float(done.stdout.split()[-2])
    assert difference < 1e-9
