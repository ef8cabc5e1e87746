"""The potentials of OpenMM-ML: entry points, arguments, whole and mixed Systems, interpolation."""

import copy
import importlib
import sys
import warnings

import numpy as np
import openmm
import pytest
from cases import load_case
from openmm import app, unit
from openmmml import MLPotential

import openmm_so3krates
from openmm_so3krates import SO3kratesForce
from openmm_so3krates.hyperparameters import ModelError

EV = 96.48533212331  # kJ/mol
REGION = list(range(22))  # the dipeptide


def topology_of(case) -> app.Topology:
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for number in case.atomic_numbers:
        topology.addAtom("X", app.Element.getByAtomicNumber(int(number)), residue)
    if case.cell is not None:
        topology.setPeriodicBoxVectors(case.cell / 10 * unit.nanometer)
    return topology


@pytest.mark.parametrize("name", ["aladip", "acetate", "methyl_radical", "water_64_lr6"])
def test_create_system(so3lr, name, energy_and_forces):
    """Energies and forces are those of the original code."""
    case = load_case(name)
    potential = MLPotential("so3krates", modelPath=so3lr)
    system = potential.createSystem(
        topology_of(case), charge=int(case.charge), multiplicity=int(case.spin) + 1, lrCutoff=case.lr_cutoff / 10
    )
    width = SO3kratesForce(system.getForce(0)).getDispersionSwitchWidth() / unit.angstrom
    assert width == pytest.approx(case.dispersion_switch_width)
    energy, forces = energy_and_forces(system, case.positions / 10)
    assert energy == pytest.approx(case.double.energy * EV, abs=1e-6)
    np.testing.assert_allclose(forces, case.double.forces * EV * 10, rtol=0, atol=1e-5)


def test_names(so3lr, monkeypatch):
    case = load_case("ethanol")
    hashes = set()
    for arguments in (
        {"name": "so3lr"},
        {"name": "so3krates", "modelPath": "so3lr"},
        {"name": "so3krates", "modelPath": str(so3lr)},
    ):
        system = MLPotential(**arguments).createSystem(topology_of(case))
        hashes.add(SO3kratesForce(system.getForce(0)).getModelHash())
    assert len(hashes) == 1
    with pytest.raises(ValueError, match="needs modelPath"):
        MLPotential("so3krates")
    with pytest.raises(ValueError, match=r'use MLPotential\("so3krates", modelPath'):
        MLPotential("so3lr", modelPath=so3lr)
    with pytest.raises(TypeError, match="takes no model_path, only modelPath"):
        MLPotential("so3lr", model_path=so3lr)
    with pytest.raises(ModelError, match="no model 'nothing' is installed"):
        MLPotential("so3krates", modelPath="nothing").createSystem(topology_of(case))


def test_arguments(so3lr):
    topology = topology_of(load_case("ethanol"))
    potential = MLPotential("so3lr")
    system = potential.createSystem(topology, precision="double", lrCutoff=9 * unit.angstrom, multiplicity=3)
    force = SO3kratesForce(system.getForce(0))
    assert (force.getPrecision(), force.getSpin()) == ("double", 2)
    assert force.getLRCutoff() / unit.nanometer == pytest.approx(0.9)
    system = potential.createSystem(topology, lrCutoff=None)
    assert SO3kratesForce(system.getForce(0)).getLRCutoff() is None
    with pytest.raises(
        ValueError, match="26 electrons, of which not just 1 can be unpaired; give the right charge and mu"
    ):
        potential.createSystem(topology, multiplicity=2)
    for multiplicity in (0, "2", float("nan")):
        with pytest.raises(ValueError, match="multiplicity is the number of unpaired electrons plus one, not"):
            potential.createSystem(topology, multiplicity=multiplicity)
    with pytest.raises(TypeError, match="createSystem takes no device, spin"):
        potential.createSystem(topology, spin=1, device="cuda")
    with pytest.raises(TypeError, match="give the spin as multiplicity"):
        potential.createMixedSystem(topology, openmm.System(), [0, 1], spin=0)


@pytest.mark.parametrize("broken", ["openmm_so3krates._openmm", "openmm_so3krates._engine"])
def test_openmm_ml_can_be_imported_beside_a_broken_build(broken, monkeypatch):
    """All potentials are loaded by `import openmmml`: ours must not take the others down."""
    monkeypatch.setitem(sys.modules, broken, None)
    monkeypatch.delattr(openmm_so3krates, broken.split(".")[1], raising=False)
    for name in ("openmm_so3krates.force", "openmm_so3krates.openmm_ml"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("openmm_so3krates.openmm_ml")
    potential = module.SO3kratesPotentialImplFactory().createImpl("so3lr")
    if broken.endswith("_openmm"):
        with pytest.raises(ImportError, match="built without its OpenMM part"):
            potential.addForces(topology_of(load_case("water")), openmm.System(), None, 0)


@pytest.mark.parametrize("surroundings", ["drop", "solvated_box"])
@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_interpolation(so3lr, request, surroundings, platform, energy_and_forces):
    """lambda_interpolate 0 is the force field, 1 the mixed System, and between them the energy is linear."""
    solvated = request.getfixturevalue(surroundings)
    potential = MLPotential("so3lr")
    mm = solvated.mm_system()
    arguments = {"lrCutoff": 0.9, "precision": "double"}
    mixed = potential.createMixedSystem(solvated.topology, mm, REGION, **arguments)
    both = potential.createMixedSystem(solvated.topology, mm, REGION, interpolate=True, **arguments)

    def compute(system, **parameters):
        return energy_and_forces(system, solvated.positions, platform=platform, **parameters)

    ends = compute(mm), compute(mixed)
    # The force field is in single precision on the CPU platform, and PME is an approximation.
    tolerance = 1e-4 if (surroundings, platform) == ("drop", "Reference") else 5e-2
    assert abs(ends[0][0] - ends[1][0]) > 100
    for value in (0, 1, 0.3):
        energy, forces = compute(both, lambda_interpolate=value)
        assert energy == pytest.approx((1 - value) * ends[0][0] + value * ends[1][0], abs=tolerance)
        expected = (1 - value) * ends[0][1] + value * ends[1][1]
        np.testing.assert_allclose(forces, expected, rtol=0, atol=tolerance * 10)


def test_force_group(so3lr, drop):
    system = MLPotential("so3lr").createMixedSystem(drop.topology, drop.mm_system(), REGION, forceGroup=3)
    ours = [force for force in system.getForces() if force.getForceGroup() == 3]
    assert len(ours) == 1
    assert SO3kratesForce(ours[0]).getAtoms() == REGION


@pytest.mark.parametrize("has_box", [True, False])
def test_box_of_topology_and_force_field_must_agree(so3lr, solvated_box, has_box):
    topology = app.Modeller(solvated_box.topology, solvated_box.positions * unit.nanometer).topology
    method = app.NoCutoff if has_box else app.PME
    system = solvated_box.mm_system(nonbondedMethod=method)
    topology.setPeriodicBoxVectors(np.eye(3) * 1.8 * unit.nanometer if has_box else None)
    message = "the topology has a box, but" if has_box else "is periodic, but the topology has no box"
    with pytest.raises(ValueError, match=message):
        MLPotential("so3lr").createMixedSystem(topology, system, REGION)


def test_interpolation_in_a_small_box(so3lr, drop):
    """Warned of, since a force inside a CustomCVForce cannot see what is counted twice."""
    topology = copy.deepcopy(drop.topology)
    dodecahedron = [[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0.5**0.5]]  # 0.707 from face to face

    def create(edge, interpolate):
        topology.setPeriodicBoxVectors(edge * np.array(dodecahedron) * unit.nanometer)
        mm = drop.mm_system()
        (nonbonded,) = (force for force in mm.getForces() if isinstance(force, openmm.NonbondedForce))
        nonbonded.setNonbondedMethod(openmm.NonbondedForce.PME)
        MLPotential("so3lr").createMixedSystem(topology, mm, REGION, interpolate=interpolate, lrCutoff=1.0)

    with pytest.warns(UserWarning, match=r"box is 1.98 nm from face to face, less than 2 lrCutoff \(2 nm\)"):
        create(2.8, True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create(2.8, False)
        create(2.84, True)


@pytest.mark.parametrize("interpolate", [False, True])
def test_xml(so3lr, drop, interpolate, energy_and_forces):
    """A mixed System can be written and read."""
    system = MLPotential("so3lr").createMixedSystem(
        drop.topology, drop.mm_system(), REGION, interpolate=interpolate, precision="double"
    )
    read = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    energies = [energy_and_forces(s, drop.positions)[0] for s in (system, read)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-6)
