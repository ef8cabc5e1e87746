"""What a barostat sees of SO3kratesForce agrees with the engine's analytic virial."""

import numpy as np
import openmm
import pytest
from cases import load_case
from openmm import app, unit
from openmm_helpers import EV, box_of, energy_of, make_context, make_force, make_system, positions_of

from openmm_so3krates import Potential

BAR = 0.0602214076  # kJ/mol/nm³
STEP = 1e-4  # of the edges' lengths


def whole_molecules(case):
    """(N, 3) Å with every molecule in one piece; atoms come as O, H, H."""
    positions = case.positions.copy()
    oxygens = positions[::3]
    for hydrogens in (positions[1::3], positions[2::3]):
        shifts = np.rint((hydrogens - oxygens) @ np.linalg.inv(case.cell))
        hydrogens -= shifts @ case.cell
        assert np.linalg.norm(hydrogens - oxygens, axis=1).max() < 1.3
    return positions


@pytest.fixture(scope="module", params=["water_64_lr6", "water_64_triclinic_lr6"])
def water(request, so3lr):
    """Context of a box of water molecules, its barostat, and the engine's result."""
    case = load_case(request.param)
    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(case.num_atoms // 3):
        residue = topology.addResidue("HOH", chain)
        atoms = [topology.addAtom(name, app.Element.getBySymbol(name[0]), residue) for name in ("O", "H1", "H2")]
        topology.addBond(atoms[0], atoms[1])
        topology.addBond(atoms[0], atoms[2])
    topology.setPeriodicBoxVectors(case.cell / 10 * unit.nanometer)
    positions = whole_molecules(case)
    system = make_system(case)
    force = make_force(so3lr, case, atomic_numbers=None, topology=topology)
    system.addForce(force)
    barostat = openmm.MonteCarloBarostat(1, 300, 25)
    system.addForce(barostat)
    context = make_context(system, positions)
    potential = Potential(
        so3lr,
        precision="double",
        lr_cutoff=case.lr_cutoff,
        dispersion_switch_width=case.dispersion_switch_width,
    )
    result = potential.compute(case.atomic_numbers, positions, box_of(context) * 10, virial=True)
    return context, barostat, result


def centers_of(context, positions):
    """(N, 3): for every atom the center of its molecule, the mean that OpenMM's barostats scale."""
    centers = np.zeros_like(positions)
    for molecule in context.getMolecules():
        centers[list(molecule)] = positions[list(molecule)].mean(0)
    return centers


def slope_by_size(context, displacement):
    """dE/ds in kJ/mol when box and positions grow as box (1 + s), positions + s displacement."""
    box, positions = box_of(context), positions_of(context)
    energies = []
    for s in (STEP, -STEP):
        context.setPeriodicBoxVectors(*(box * (1 + s)))
        context.setPositions(positions + s * displacement)
        energies.append(energy_of(context))
    context.setPeriodicBoxVectors(*box)
    context.setPositions(positions)
    return (energies[0] - energies[1]) / (2 * STEP)


def test_scaled_atoms(water):
    """dE/ds of a box scaled with all its atoms is minus the trace of the virial."""
    context, _, result = water
    assert slope_by_size(context, positions_of(context)) == pytest.approx(-np.trace(result.virial) * EV, abs=0.05)


def test_scaled_molecules(water):
    """With molecules moved as wholes, the forces inside them do no work: virial less sum F·(r - center)."""
    context, _, result = water
    positions = positions_of(context)
    centers = centers_of(context, positions)
    inside = np.sum(result.forces * (positions - centers) * 10)
    expected = -(np.trace(result.virial) - inside) * EV
    assert slope_by_size(context, centers) == pytest.approx(expected, abs=0.05)
    assert abs(inside * EV) > 100


def test_pressure_of_the_barostat(water):
    """OpenMM's own pressure, of molecules at 300 K, is kinetic plus molecular virial over the volume."""
    context, barostat, result = water
    context.setVelocitiesToTemperature(300, 1)
    positions = positions_of(context)
    state = context.getState(velocities=True)
    velocities = state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond)
    masses = np.array([context.getSystem().getParticleMass(i)._value for i in range(len(positions))])
    kinetic = 0.0
    for molecule in map(list, context.getMolecules()):
        momentum = (masses[molecule, None] * velocities[molecule]).sum(0)
        kinetic += momentum @ momentum / masses[molecule].sum()
    inside = np.sum(result.forces * (positions - centers_of(context, positions)) * 10)
    virial = (np.trace(result.virial) - inside) * EV
    volume = np.linalg.det(box_of(context))
    expected = (kinetic + virial) / (3 * volume) / BAR
    pressure = barostat.computeCurrentPressure(context).value_in_unit(unit.bar)
    assert pressure == pytest.approx(expected, abs=5)
