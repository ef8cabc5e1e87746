"""PredictionReporter along an OpenMM simulation, continued and refused."""

import numpy as np
import openmm
import pytest
from cases import PARTS, load_case
from openmm import app, unit
from openmm_helpers import EV, make_force, make_system

from openmm_so3krates import Potential, PredictionReporter
from openmm_so3krates.md.errors import OutputError


@pytest.fixture
def ethanol():
    return load_case("ethanol")


def make_simulation(model, case) -> app.Simulation:
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for number in case.atomic_numbers:
        topology.addAtom("X", app.element.Element.getByAtomicNumber(int(number)), residue)
    system = make_system(case)
    system.addForce(openmm.CMMotionRemover())
    system.addForce(make_force(model, case))
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology, system, openmm.VerletIntegrator(0.0005), platform)
    simulation.context.setPositions(case.positions / 10)
    return simulation


def read(path) -> np.ndarray:
    return np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True))


def test_reports_are_of_their_step(so3lr, ethanol, tmp_path):
    """Steps, times, dipoles, energy parts and charges against the engine at the positions of a step by step run."""
    simulation = make_simulation(so3lr, ethanol)
    simulation.reporters.append(PredictionReporter(tmp_path / "p.csv", 3, charges=tmp_path / "q.npy"))
    expected = []
    potential = Potential(so3lr, precision="double", lr_cutoff=ethanol.lr_cutoff)
    for step in range(1, 8):
        simulation.step(1)
        if step % 3 == 0:
            positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)
            expected.append(potential.compute(ethanol.atomic_numbers, positions.value_in_unit(unit.angstrom)))
    table = read(tmp_path / "p.csv")
    np.testing.assert_array_equal(table["step"], [3, 6])
    np.testing.assert_allclose(table["time_ps"], [0.0015, 0.003], atol=1e-9)
    for axis, name in enumerate("xyz"):
        dipole = [result.dipole[axis] / 10 for result in expected]
        np.testing.assert_allclose(table[f"dipole_{name}_e_nm"], dipole, rtol=1e-8, atol=1e-12)
    for part in PARTS:
        energy = [result.energy_parts[part] * EV for result in expected]
        np.testing.assert_allclose(table[f"{part}_kJ_per_mol"], energy, atol=1e-5)
    charges = [result.partial_charges for result in expected]
    np.testing.assert_allclose(np.load(tmp_path / "q.npy"), charges, atol=1e-7)


def test_continued_from_a_checkpoint(so3lr, ethanol, tmp_path):
    """Reports of steps that are done again are not there twice; the same files as without the interruption."""
    whole = make_simulation(so3lr, ethanol)
    whole.reporters.append(PredictionReporter(tmp_path / "whole.csv", 2, charges=tmp_path / "whole.npy"))
    whole.step(8)
    first = make_simulation(so3lr, ethanol)
    first.reporters.append(PredictionReporter(tmp_path / "p.csv", 2, charges=tmp_path / "q.npy"))
    first.step(3)
    first.saveCheckpoint(str(tmp_path / "c.chk"))
    first.step(3)
    with open(tmp_path / "p.csv", "ab") as file:
        file.write(b"8,0.0")  # killed while writing
    second = make_simulation(so3lr, ethanol)
    second.loadCheckpoint(str(tmp_path / "c.chk"))
    reporter = PredictionReporter(tmp_path / "p.csv", 2, charges=tmp_path / "q.npy", append=True)
    second.reporters.append(reporter)
    second.step(5)
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert (tmp_path / "q.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    # Without append the files begin anew.
    second.reporters[0] = PredictionReporter(tmp_path / "p.csv", 2)
    second.step(2)
    np.testing.assert_array_equal(read(tmp_path / "p.csv")["step"], [10])


def test_appending_to_other_files_is_refused(so3lr, ethanol, tmp_path):
    simulation = make_simulation(so3lr, ethanol)
    simulation.reporters.append(PredictionReporter(tmp_path / "p.csv", 1, charges=tmp_path / "q.npy"))
    simulation.step(3)
    np.save(tmp_path / "few.npy", np.zeros((2, ethanol.num_atoms), np.float32))
    np.save(tmp_path / "other.npy", np.zeros((9, 5), np.float32))
    (tmp_path / "log.csv").write_text("step,time\n")
    for log, charges, message in [
        ("p.csv", "few.npy", r"few.npy: it holds float32 \(2, 9\), needed are float32 \(3, 9\)"),
        ("p.csv", "other.npy", "other.npy: it holds"),
        ("p.csv", "none.npy", "none.npy: .*No such file"),
        ("none.csv", "q.npy", "none.csv: .*No such file"),
        ("log.csv", "q.npy", "log.csv: its first line is another"),
    ]:
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        reporter = PredictionReporter(tmp_path / log, 1, charges=tmp_path / charges, append=True)
        simulation.reporters = [reporter]
        with pytest.raises(OutputError, match=message):
            simulation.step(1)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_which_force(so3lr, ethanol, tmp_path):
    system = make_system(ethanol)
    with pytest.raises(ValueError, match="has 0 SO3kratesForces; there is nothing to report"):
        report_once(system, ethanol, PredictionReporter(tmp_path / "p.csv", 1))
    system.addForce(make_force(so3lr, ethanol))
    system.addForce(make_force(so3lr, ethanol, scale=-0.5))
    with pytest.raises(ValueError, match=r"has 2 SO3kratesForces; name the one to report"):
        report_once(system, ethanol, PredictionReporter(tmp_path / "p.csv", 1))
    report_once(system, ethanol, PredictionReporter(tmp_path / "p.csv", 1, force=system.getForce(1)))
    total = sum(read(tmp_path / "p.csv")[f"{part}_kJ_per_mol"][0] for part in PARTS)
    assert total == pytest.approx(-0.5 * EV * ethanol.double.energy, rel=1e-2)
    with pytest.raises(ValueError, match="at least one step, not 0"):
        PredictionReporter(tmp_path / "p.csv", 0)


def report_once(system, case, reporter):
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for _ in case.atomic_numbers:
        topology.addAtom("X", None, residue)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology, system, openmm.VerletIntegrator(0.0005), platform)
    simulation.context.setPositions(case.positions / 10)
    simulation.reporters.append(reporter)
    simulation.step(1)


def test_full_disk(so3lr, ethanol):
    """/dev/full takes no byte."""
    simulation = make_simulation(so3lr, ethanol)
    simulation.reporters.append(PredictionReporter("/dev/full", 1))
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"):
        simulation.step(1)
