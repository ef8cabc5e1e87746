"""What SO3kratesForce takes, what it tells of itself, and what it refuses when it is made."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openmm
import pytest
from openmm import unit
from openmm.app import Topology, element

import openmm_so3krates
from openmm_so3krates import SO3kratesForce
from openmm_so3krates.hyperparameters import ModelError


def water_topology(num_waters=1, virtual_sites=False, box=None) -> Topology:
    topology = Topology()
    chain = topology.addChain()
    for _ in range(num_waters):
        residue = topology.addResidue("HOH", chain)
        oxygen = topology.addAtom("O", element.oxygen, residue)
        for name in ("H1", "H2"):
            topology.addBond(oxygen, topology.addAtom(name, element.hydrogen, residue))
        if virtual_sites:
            topology.addAtom("M", None, residue)
    if box is not None:
        topology.setPeriodicBoxVectors(np.eye(3) * box * unit.nanometer)
    return topology


def test_defaults(so3lr):
    force = SO3kratesForce(so3lr, water_topology(2))
    assert force.getAtoms() == list(range(6))
    assert force.getAtomicNumbers() == [8, 1, 1, 8, 1, 1]
    assert force.getBonds() == [(0, 1), (0, 2), (3, 4), (3, 5)]
    assert force.getCharge() == 0 * unit.elementary_charge
    assert force.getSpin() == 0
    assert force.getLRCutoff() == 1.2 * unit.nanometer
    assert force.getDispersionSwitchWidth() == 0.2 * unit.nanometer
    assert force.getPrecision() == "auto"
    assert force.getModelName() == str(so3lr)
    assert len(force.getModelHash()) == 64
    assert force.getName() == "SO3kratesForce"
    assert not force.usesPeriodicBoundaryConditions()
    assert not force.getEmbedModel()
    assert not force.getAllowUntrainedElements()


def test_settings_in_units(so3lr):
    force = SO3kratesForce(
        so3lr,
        atomic_numbers=np.array([8, 1], dtype=np.int32),
        charge=-1 * unit.elementary_charge,
        spin=np.float32(2),
        atoms=np.array([7, 3]),
        lr_cutoff=10 * unit.angstrom,
        dispersion_switch_width=1.5 * unit.angstrom,
        periodic=True,
        precision="double",
        embed_model=True,
        allow_untrained_elements=True,
    )
    assert force.getAtoms() == [7, 3]
    assert force.getAtomicNumbers() == [8, 1]
    assert force.getCharge() == -1 * unit.elementary_charge
    assert force.getSpin() == 2
    assert force.getLRCutoff().value_in_unit(unit.nanometer) == pytest.approx(1.0)
    assert force.getDispersionSwitchWidth().value_in_unit(unit.nanometer) == pytest.approx(0.15)
    assert force.getPrecision() == "double"
    assert force.usesPeriodicBoundaryConditions()
    assert force.getEmbedModel()
    assert force.getAllowUntrainedElements()
    assert SO3kratesForce(so3lr, atomic_numbers=[1], lr_cutoff=None).getLRCutoff() is None
    assert SO3kratesForce(so3lr, atomic_numbers=[1], lr_cutoff=0.9).getLRCutoff() == 0.9 * unit.nanometer


def test_the_box_of_the_topology_makes_it_periodic(so3lr):
    assert SO3kratesForce(so3lr, water_topology(box=2)).usesPeriodicBoundaryConditions()
    assert not SO3kratesForce(so3lr, water_topology(box=2), periodic=False).usesPeriodicBoundaryConditions()
    system = openmm.System()
    system.addForce(SO3kratesForce(so3lr, water_topology(box=2)))
    assert system.usesPeriodicBoundaryConditions()


def test_bonds_of_a_region_stay_inside_it(so3lr):
    force = SO3kratesForce(so3lr, water_topology(2), atoms=[1, 3, 4])
    assert force.getAtomicNumbers() == [1, 8, 1]
    assert force.getBonds() == [(3, 4)]


def test_bonds_keep_molecules_whole(so3lr):
    topology = water_topology(2, box=2)
    system = openmm.System()
    for _ in range(6):
        system.addParticle(1)
    system.addForce(SO3kratesForce(so3lr, topology))
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    assert [tuple(molecule) for molecule in context.getMolecules()] == [(0, 1, 2), (3, 4, 5)]


def test_cast(so3lr):
    system = openmm.System()
    force = SO3kratesForce(so3lr, atomic_numbers=[1, 1])
    force.setName("hydrogen")
    system.addForce(force)
    system.addForce(openmm.HarmonicBondForce())
    again = SO3kratesForce(system.getForce(0))
    assert isinstance(again, SO3kratesForce)
    assert again.getName() == "hydrogen"
    again.setSpin(1)
    assert force.getSpin() == 1
    with pytest.raises(TypeError, match="'HarmonicBondForce' is not a SO3kratesForce"):
        SO3kratesForce(system.getForce(1))
    assert "2 atoms" in repr(again)


@pytest.mark.parametrize(
    "settings",
    [
        {"charge": 5},
        {"topology": water_topology()},
        {"lr_cutoff": None},
        {"lr_cutoff": 1.0 * unit.nanometer},
        {"atoms": np.arange(2), "spin": 1},
        {"embed_model": True},
        {"scale": -1},
    ],
)
def test_a_cast_changes_nothing(so3lr, settings):
    with pytest.raises(TypeError, match=f"takes no .*{list(settings)[-1]}.*make a new force"):
        SO3kratesForce(SO3kratesForce(so3lr, atomic_numbers=[1, 1]), **settings)


def test_a_force_belongs_to_one_system(so3lr):
    force = SO3kratesForce(so3lr, atomic_numbers=[1])
    system = openmm.System()
    system.addForce(force)
    with pytest.raises(Exception, match="does not own"):
        openmm.System().addForce(force)


def test_a_path_object_is_never_the_name_of_an_installed_model(so3lr, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("weights").write_bytes(Path(so3lr).read_bytes())
    assert SO3kratesForce(Path("weights"), atomic_numbers=[1]).getModelName() == "./weights"


def test_a_loaded_model(so3lr, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(Path(so3lr).read_bytes())
    model = openmm_so3krates.Model.load(str(path))
    assert SO3kratesForce(model, atomic_numbers=[1]).getModelHash() == model.sha256
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="has changed since it was loaded"):
        SO3kratesForce(model, atomic_numbers=[1])


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({}, ValueError, "give the topology, or the atomic numbers"),
        ({"atomic_numbers": []}, ValueError, "atomic_numbers is empty"),
        ({"atomic_numbers": [1.5]}, ValueError, r"atomic_numbers must be whole numbers, not 1\.5"),
        ({"atomic_numbers": [math.nan]}, ValueError, "atomic_numbers must be whole numbers, not nan"),
        ({"atomic_numbers": [2**40]}, ValueError, "atomic_numbers holds 1099511627776, which is out of range"),
        ({"atomic_numbers": 8}, TypeError, "atomic_numbers must be a sequence of whole numbers, not 8"),
        ({"atomic_numbers": ["O"]}, TypeError, "atomic_numbers must be a sequence of whole numbers, not of 'O'"),
        ({"atomic_numbers": [0]}, ValueError, "atom 0 has the atomic number 0, for which the model .* has no numbers"),
        ({"atomic_numbers": [-3]}, ValueError, "atom 0 has the atomic number -3"),
        ({"atomic_numbers": [1, 119]}, ValueError, "atom 1 has the atomic number 119, for which the model"),
        ({"atomic_numbers": [118], "allow_untrained_elements": True}, ValueError, "atomic number 118, for which"),
        ({"topology": SimpleNamespace(topology=water_topology())}, TypeError, r"did you mean pdb\.topology\?"),
        ({"topology": openmm.System()}, TypeError, r"must be an openmm\.app\.Topology, not a System$"),
        ({"topology": [8, 1, 1]}, TypeError, r"must be an openmm\.app\.Topology, not a list$"),
        ({"topology": "water.pdb", "atomic_numbers": [8]}, TypeError, r"must be an openmm\.app\.Topology, not a str$"),
        ({"atomic_numbers": [1, 11]}, ValueError, "atom 1 is Na, which the model .* was not trained on; it knows H, C"),
        ({"atomic_numbers": [1, 1], "atoms": [0]}, ValueError, "2 atomic numbers for 1 atoms"),
        ({"atomic_numbers": [1, 1], "atoms": [4, 4]}, ValueError, "particle 4 is named twice"),
        ({"atomic_numbers": [1], "atoms": [-1]}, ValueError, "particle index -1 is negative"),
        ({"atomic_numbers": [1], "atoms": ["CA"]}, TypeError, "atoms must be a sequence of whole numbers"),
        ({"atomic_numbers": [1], "atoms": [0.5]}, ValueError, r"atoms must be whole numbers, not 0\.5"),
        (
            {"atomic_numbers": [1], "atoms": [-(2**31) - 1]},
            ValueError,
            "atoms holds -2147483649, which is out",
        ),
        ({"atomic_numbers": [1, 1], "atoms": [True, False]}, TypeError, "atoms must be a sequence of whole .*True"),
        ({"atomic_numbers": [1], "atoms": []}, ValueError, "atoms is empty"),
        ({"topology": water_topology(), "atoms": [3]}, ValueError, "particle 3, but the topology has 3 atoms"),
        ({"topology": water_topology(), "atoms": [-1]}, ValueError, "particle -1, but the topology has 3 atoms"),
        ({"topology": water_topology(), "atomic_numbers": [8, 1]}, ValueError, "the topology gives 3 atoms"),
        ({"topology": water_topology(virtual_sites=True)}, ValueError, r"atom 3 \(M of HOH 1\) has no element"),
        ({"topology": water_topology(), "periodic": True}, ValueError, "the topology has no box"),
        ({"atomic_numbers": [1], "charge": "plus one"}, TypeError, "charge must be a number"),
        ({"atomic_numbers": [1], "charge": math.nan}, ValueError, "charge must be a finite number"),
        ({"atomic_numbers": [1], "charge": 1 * unit.nanometer}, ValueError, "cannot be converted"),
        ({"atomic_numbers": [1], "spin": None}, TypeError, "spin must be a number"),
        ({"atomic_numbers": [1], "spin": math.inf}, ValueError, "spin must be a finite number"),
        (
            {"atomic_numbers": [1], "spin": -1},
            ValueError,
            "spin must be a finite number of unpaired electrons, 0 or more",
        ),
        ({"atomic_numbers": [1], "lr_cutoff": 0}, ValueError, "lr_cutoff must be positive"),
        ({"atomic_numbers": [1], "lr_cutoff": 12 * unit.kelvin}, ValueError, "cannot be converted"),
        ({"atomic_numbers": [1], "lr_cutoff": None, "periodic": True}, ValueError, "needs an lr_cutoff"),
        ({"atomic_numbers": [1], "dispersion_switch_width": -1}, ValueError, "must be positive"),
        ({"atomic_numbers": [1], "precision": "half"}, ValueError, "precision must be one of auto, single, double"),
    ],
)
def test_refused_arguments(so3lr, settings, error, message):
    with pytest.raises(error, match=message):
        SO3kratesForce(so3lr, **settings)


def test_virtual_sites_of_the_topology_can_be_left_out(so3lr):
    force = SO3kratesForce(so3lr, water_topology(2, virtual_sites=True), atoms=[0, 1, 2, 4, 5, 6])
    assert force.getAtomicNumbers() == [8, 1, 1, 8, 1, 1]


def test_untrained_elements_on_request(so3lr):
    force = SO3kratesForce(so3lr, atomic_numbers=[11], allow_untrained_elements=True)
    assert force.getAllowUntrainedElements()


def test_refused_models(tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        SO3kratesForce(tmp_path / "nowhere.safetensors", atomic_numbers=[1])
    with pytest.raises(TypeError, match="must be a Model, the name of an installed one, or a path, not int"):
        SO3kratesForce(3, atomic_numbers=[1])


def test_setters_refuse_what_is_no_number(so3lr):
    force = SO3kratesForce(so3lr, atomic_numbers=[1])
    with pytest.raises(TypeError, match="charge must be a number"):
        force.setCharge(True)
    with pytest.raises(ValueError, match="spin must be a finite number"):
        force.setSpin(math.nan)
    force.setSpin(2)
    with pytest.raises(ValueError, match="spin must be a finite number of unpaired electrons, 0 or more"):
        force.setSpin(-1)
    assert force.getSpin() == 2
    with pytest.raises(TypeError, match=r"an openmm\.Context is needed, not a System"):
        force.updateParametersInContext(openmm.System())


def test_the_package_names_it():
    assert "SO3kratesForce" in dir(openmm_so3krates)
    with pytest.raises(AttributeError, match="no attribute 'SO3kratesforce'"):
        _ = openmm_so3krates.SO3kratesforce
