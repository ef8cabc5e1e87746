"""SO3kratesCalculator: ASE's conventions for values, units, signs and caching, and ASE's own tools on top of it."""

import copy
import importlib
import pickle
import shutil
import sys

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import BFGS
from ase.vibrations import Vibrations
from cases import load_case

from openmm_so3krates import Potential
from openmm_so3krates.ase import SO3kratesCalculator
from openmm_so3krates.hyperparameters import ModelError


def atoms_of(case) -> Atoms:
    return Atoms(case.atomic_numbers, case.positions, cell=case.cell, pbc=case.cell is not None)


def calculator_of(model, case, **settings) -> SO3kratesCalculator:
    width = case.dispersion_switch_width
    return SO3kratesCalculator(model, lr_cutoff=case.lr_cutoff, dispersion_switch_width=width, **settings)


@pytest.fixture
def count(monkeypatch):
    """A list that grows by (forces, virial) at every evaluation."""
    calls = []
    compute = Potential.compute

    def counted(self, *arguments, forces, virial):
        calls.append((forces, virial))
        return compute(self, *arguments, forces=forces, virial=virial)

    monkeypatch.setattr(Potential, "compute", counted)
    return calls


@pytest.mark.parametrize(
    "name", ["ethanol", "acetate", "methyl_radical", "water_64_triclinic_lr6", "water_8_smallcell"]
)
@pytest.mark.parametrize("where", ["calculator", "info"])
def test_reference(so3lr, name, where):
    """Energy, forces, charges and dipole are those of the original code."""
    case = load_case(name)
    atoms = atoms_of(case)
    atoms.calc = calculator_of(so3lr, case)
    if where == "info":
        atoms.info.update(charge=case.charge, spin=case.spin)
    else:
        atoms.calc.set(charge=case.charge, spin=case.spin)
    assert atoms.get_potential_energy() == pytest.approx(case.double.energy, abs=1e-9)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_forces(), case.double.forces, atol=1e-9)
    np.testing.assert_allclose(atoms.get_charges(), case.double.partial_charges, atol=1e-9)
    np.testing.assert_allclose(atoms.get_dipole_moment(), case.double.dipole, atol=1e-8)


def test_stress_is_the_derivative_by_strain(so3lr):
    """Sign, order, unit: (1/V) dE/dε in ASE's Voigt order, off-diagonal strains symmetric."""
    case = load_case("water_64_triclinic_lr6")
    atoms = atoms_of(case)
    atoms.calc = calculator_of(so3lr, case)
    stress = atoms.get_stress()
    assert stress.shape == (6,)
    step = 1e-4
    for component, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * step / 2
            strain[b, a] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            strained.calc = atoms.calc
            energies.append(strained.get_potential_energy())
        expected = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume()
        assert stress[component] == pytest.approx(expected, abs=2e-6)
    assert np.abs(stress).max() > 1e-3


def test_evaluations_are_not_repeated(so3lr, count):
    atoms = molecule("CH3OH")
    atoms.calc = SO3kratesCalculator(so3lr)
    atoms.get_potential_energy()
    assert count == [(False, False)]
    atoms.get_forces()
    atoms.get_potential_energy()
    atoms.get_charges()
    atoms.get_dipole_moment()
    assert count == [(False, False), (True, False)]
    atoms.rattle(0.01)
    atoms.get_forces()
    assert len(count) == 3
    atoms.set_cell([20, 20, 20])
    atoms.set_pbc(True)
    atoms.get_forces()
    atoms.get_stress()
    assert count[3:] == [(True, True)]


def test_changed_charge_and_spin_are_seen(so3lr, count):
    case = load_case("acetate")
    atoms = atoms_of(case)
    atoms.calc = calculator_of(so3lr, case, charge=-1)
    anion = atoms.get_potential_energy()
    atoms.info["charge"] = 1
    cation = atoms.get_potential_energy()
    atoms.info.update(charge=0, multiplicity=2)
    radical = atoms.get_potential_energy()
    del atoms.info["multiplicity"]
    atoms.info["spin"] = 1
    assert atoms.get_potential_energy() == radical
    atoms.info.clear()
    assert atoms.get_potential_energy() == anion
    atoms.calc.set(charge=1)
    assert atoms.get_potential_energy() == cation
    assert len({anion, cation, radical}) == 3
    evaluations = len(count)
    atoms.info["comment"] = "says nothing about charge or spin"
    atoms.calc.set(charge=1.0)
    atoms.get_potential_energy()
    assert len(count) == evaluations


def test_a_result_belongs_to_the_caller(so3lr):
    atoms = molecule("H2O")
    atoms.calc = SO3kratesCalculator(so3lr)
    forces = atoms.get_forces()
    expected = forces.copy()
    forces[:] = 0
    np.testing.assert_array_equal(atoms.get_forces(), expected)


def test_settings_reach_the_engine(so3lr):
    case = load_case("ethanol")
    atoms = atoms_of(case)
    atoms.calc = SO3kratesCalculator(so3lr, lr_cutoff=None)
    assert atoms.get_potential_energy() == pytest.approx(case.no_cutoff.energy, abs=1e-9)
    single = SO3kratesCalculator(Potential(so3lr).model, precision="single", threads=1)
    assert "single" in single.potential.implementation
    assert single.potential.threads == 1
    with pytest.raises(ModelError, match="no model 'nothing' is installed"):
        SO3kratesCalculator("nothing")
    with pytest.raises(ValueError, match="precision must be"):
        SO3kratesCalculator(so3lr, precision="half")


def test_written_and_read(so3lr, tmp_path):
    """ASE stores results and settings in its files."""
    atoms = molecule("H2O")
    atoms.calc = SO3kratesCalculator(Potential(so3lr).model)
    forces = atoms.get_forces()
    for name in ("water.traj", "water.extxyz", "water.json"):
        ase.io.write(tmp_path / name, atoms)
        np.testing.assert_allclose(ase.io.read(tmp_path / name).get_forces(), forces, atol=1e-7)


REFUSED = {
    "slab": ([True, True, False], [9, 9, 9], {}, "periodic in some directions only"),
    "no cell": (True, [0, 0, 0], {}, "no cell with a volume"),
    "flat cell": (True, [9, 9, 0], {}, "no cell with a volume"),
    "charge": (False, [0, 0, 0], {"charge": "one"}, r"atoms.info\['charge'\] must be a number"),
    "spin": (False, [0, 0, 0], {"spin": 1}, "10 electrons, of which not just 1 can be unpaired; give the right charge"),
    "negative": (False, [0, 0, 0], {"spin": -2}, "there cannot be -2 unpaired electrons.*; give the right charge"),
    "no multiplicity": (False, [0, 0, 0], {"multiplicity": 0}, "there cannot be -1 unpaired electrons"),
    "too many": (False, [0, 0, 0], {"spin": 12}, "too few for 12 unpaired"),
    "both": (False, [0, 0, 0], {"spin": 1, "multiplicity": 1}, "give one of them"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(so3lr, case):
    pbc, cell, info, message = REFUSED[case]
    atoms = molecule("H2O")
    atoms.calc = SO3kratesCalculator(so3lr)
    atoms.get_forces()  # which must not be given out for what follows
    atoms.set_cell(cell)
    atoms.set_pbc(pbc)
    atoms.info.update(info)
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            atoms.get_forces()


def test_stress_of_a_molecule(so3lr):
    atoms = molecule("H2O")
    atoms.calc = SO3kratesCalculator(so3lr)
    with pytest.raises(PropertyNotImplementedError, match="periodic atoms only"):
        atoms.get_stress()


def test_only_charge_and_spin_can_be_set(so3lr):
    with pytest.raises(TypeError, match="only charge and spin can be set, not lr_cutoff"):
        SO3kratesCalculator(so3lr).set(lr_cutoff=10)


def test_without_ase(monkeypatch):
    monkeypatch.setitem(sys.modules, "ase.calculators.calculator", None)
    monkeypatch.delitem(sys.modules, "openmm_so3krates.ase")
    with pytest.raises(ImportError, match="needs ASE: pip install ase"):
        importlib.import_module("openmm_so3krates.ase")


def test_vibrations_of_relaxed_water(so3lr, tmp_path):
    """Three vibrations near those of water (harmonic, from spectra: Benedict et al. 1956); nothing else vibrates."""
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=1)
    atoms.calc = SO3kratesCalculator(so3lr)
    before = atoms.get_potential_energy()
    assert BFGS(atoms, logfile=None).run(fmax=1e-5, steps=60)
    assert atoms.get_potential_energy() < before
    vibrations = Vibrations(atoms, name=str(tmp_path / "vibrations"), delta=0.001)
    vibrations.run()
    wavenumbers = vibrations.get_frequencies()
    assert np.abs(wavenumbers[:6]).max() < 10
    np.testing.assert_allclose(wavenumbers[6:].real, [1648, 3832, 3943], rtol=0.03)


def test_energy_is_conserved(so3lr):
    """Velocity Verlet: the total energy fluctuates by the square of the time step, so forces are its gradient."""
    spread = []
    for step in (0.5, 0.25):
        case = load_case("ethanol")
        atoms = atoms_of(case)
        atoms.calc = calculator_of(so3lr, case)
        velocities = np.random.default_rng(1).normal(size=(len(atoms), 3))
        atoms.set_velocities(velocities * np.sqrt(300 * units.kB / atoms.get_masses())[:, None])
        energies = []
        dynamics = VelocityVerlet(atoms, step * units.fs)
        dynamics.attach(lambda atoms=atoms, energies=energies: energies.append(atoms.get_total_energy()))
        dynamics.run(round(50 / step))
        spread.append(np.std(energies))
    assert spread[0] < 5e-3
    assert spread[0] / spread[1] == pytest.approx(4, rel=0.15)


def through_pickle(thing):
    return pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, through_pickle], ids=["deepcopy", "pickle"])
def test_copies(so3lr, count, duplicate):
    """A copy has settings, charge and results of its own, and computes the same bits."""
    case = load_case("acetate")
    atoms = atoms_of(case)
    atoms.calc = calculator_of(so3lr, case, charge=-1, threads=1)
    energy = atoms.get_potential_energy()
    other = duplicate(atoms)
    assert other.calc is not atoms.calc
    assert other.get_potential_energy() == energy and len(count) == 1  # results come along, as with ASE's calculators
    assert other.calc.parameters == atoms.calc.parameters
    other.rattle(0.05)
    moved = other.get_potential_energy()
    assert moved != energy and atoms.get_potential_energy() == energy and len(count) == 2
    atoms.positions = other.positions
    assert atoms.get_potential_energy() == moved
    other.calc.set(charge=1)
    assert atoms.calc.parameters["charge"] == -1


def test_a_pickle_holds_the_model(so3lr, tmp_path):
    """It is read where the model's file is not."""
    file = tmp_path / "model.safetensors"
    shutil.copy(so3lr, file)
    atoms = molecule("H2O")
    atoms.calc = SO3kratesCalculator(file, lr_cutoff=None, precision="single")
    pickled = pickle.dumps([atoms.calc.potential, atoms])
    energy = atoms.get_potential_energy()
    file.unlink()
    potential, other = pickle.loads(pickled)
    assert other.calc.potential is potential
    assert potential.model.sha256 == atoms.calc.potential.model.sha256
    assert potential.implementation == atoms.calc.potential.implementation
    assert other.get_potential_energy() == energy


def test_nudged_elastic_band(so3lr):
    """Images with copied calculators: ammonia turns inside out by way of the planar molecule."""
    ends = [molecule("NH3"), molecule("NH3")]
    ends[1].positions[:, 2] = 2 * ends[1].positions[1:, 2].mean() - ends[1].positions[:, 2]
    images = [ends[0], *(ends[0].copy() for _ in range(3)), ends[1]]
    calculator = SO3kratesCalculator(so3lr, lr_cutoff=None, threads=1)
    for image in images:
        image.calc = copy.deepcopy(calculator)
    band = NEB(images, climb=True, method="improvedtangent")  # refuses images that share a calculator
    band.interpolate()
    BFGS(band, logfile=None).run(fmax=0.2, steps=40)
    energies = [image.get_potential_energy() for image in images]
    assert energies[4] == pytest.approx(energies[0], abs=1e-9)
    assert energies[2] - energies[0] == pytest.approx(0.24, abs=0.15)  # about 5.8 kcal/mol
    assert np.ptp(images[2].positions[:, 2]) < 0.02
