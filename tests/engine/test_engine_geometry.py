"""Geometry of the engine: forces and virials are derivatives of the energy, and symmetries hold, in odd places too."""

import numpy as np
import pytest
from cases import load_case
from random_models import PHYSICS, hyperparameters, random_box, random_model, random_molecule, random_rotation

from openmm_so3krates import Potential

STEP = 3e-4  # Å, or strain
TRICLINIC = np.array([[9.0, 0.0, 0.0], [-3.0, 8.5, 0.0], [2.5, -3.5, 8.0]])


def crowd(seed, num_atoms, cell, min_distance=0.8, lr_cutoff=6.0):
    """Random H, C, N, O in a box; no two at the long-range cutoff, where the slope of the electrostatic force jumps."""
    rng = np.random.default_rng(seed)
    shifts = np.array(list(np.ndindex(7, 7, 7))) @ cell - 3 * cell.sum(0)
    positions = []
    while len(positions) < num_atoms:
        candidate = rng.uniform(0, 1, 3) @ cell
        distances = [np.linalg.norm(candidate - other + shifts, axis=1) for other in positions]
        if all(d.min() > min_distance and np.abs(d - lr_cutoff).min() > 0.01 for d in distances):
            positions.append(candidate)
    return rng.choice([1, 6, 7, 8], num_atoms), np.array(positions)


def line(axis, *coordinates):
    positions = np.zeros((len(coordinates), 3))
    positions[:, axis] = coordinates
    return positions


BOX, MOLECULE = random_box(2), random_molecule(1)
SYSTEMS = {
    "molecule": (MOLECULE.atomic_numbers, MOLECULE.positions, None),
    "box smaller than the cutoffs": (BOX.atomic_numbers, BOX.positions, BOX.cell),
    "triclinic box": (*crowd(5, 14, TRICLINIC), TRICLINIC),
    "large orthorhombic box": (*crowd(6, 14, np.diag([15.0, 13.0, 14.0])), np.diag([15.0, 13.0, 14.0])),
    "thin box": (*crowd(7, 6, np.diag([2.5, 14.0, 3.1])), np.diag([2.5, 14.0, 3.1])),
    "single atom": ([8], [[1.0, 2.0, 3.0]], None),
    "single atom in a small box": ([8], [[1.0, 2.0, 3.0]], np.diag([2.2, 2.5, 2.7])),
    "isolated atoms": ([8, 1, 6], [[0.0, 0, 0], [40.0, 0, 0], [0, 0, 5.0]], None),
    "pair at 0.3 Å": ([6, 1], line(0, 0.0, 0.3), None),
    "three atoms 0.3 Å apart": ([6, 1, 8], [[0.0, 0, 0], [0.3, 0, 0], [0.1, 0.3, 0]], None),
    **{f"two atoms along {'xyz'[k]}": ([6, 8], line(k, -0.4, 0.8), None) for k in range(3)},
    **{f"three atoms along {'xyz'[k]}": ([8, 6, 8], line(k, -1.1, 0.0, 1.2), None) for k in range(3)},
}

every_system = pytest.mark.parametrize("name", SYSTEMS)


def central_differences(energy, size):
    """Derivatives from fourth-order differences; energy(displacements (B, size)) returns (B,)."""
    unit = STEP * np.eye(size)
    e = energy(np.concatenate([unit, -unit, 2 * unit, -2 * unit])).reshape(4, size)
    return (8 * (e[0] - e[1]) - (e[2] - e[3])) / (12 * STEP)


def energies(potential, numbers, positions, cells):
    """One batch of molecules with the same atoms."""
    b, n = positions.shape[:2]
    return potential.compute_batch(
        np.tile(numbers, b),
        positions.reshape(-1, 3),
        n * np.arange(b + 1),
        cells=cells,
        charges=np.full(b, 1.0),
        spins=np.full(b, 2.0),
    ).energies


def compute(potential, numbers, positions, cell, **options):
    return potential.compute(numbers, positions, cell=cell, charge=1.0, spin=2.0, **options)


def assert_close(values, expected, bound):
    """Largest difference relative to the largest value (at least 1)."""
    values, expected = np.asarray(values), np.asarray(expected)
    assert np.abs(values - expected).max(initial=0.0) < bound * max(1.0, np.abs(expected).max(initial=0.0))


def assert_same(result, expected, bound=1e-10):
    assert_close(result.energy, expected.energy, bound)
    assert_close(result.forces, expected.forces, bound)
    assert_close(result.partial_charges, expected.partial_charges, bound)


# -- derivatives -------------------------------------------------------------------------------------


@every_system
def test_forces_are_finite_differences(random_potential, name):
    numbers, positions, cell = SYSTEMS[name]
    positions = np.array(positions)
    forces = compute(random_potential, numbers, positions, cell).forces

    def energy(displacements):
        displaced = positions + displacements.reshape(-1, *positions.shape)
        cells = None if cell is None else np.tile(cell, (len(displaced), 1, 1))
        return energies(random_potential, numbers, displaced, cells)

    # Close to the nuclei the differences themselves are good to fewer digits.
    bound = 1e-6 if "0.3" in name else 1e-8
    assert_close(forces, -central_differences(energy, positions.size).reshape(positions.shape), bound)


@every_system
def test_virial_is_finite_strain(random_potential, name):
    numbers, positions, cell = SYSTEMS[name]
    positions = np.array(positions)
    virial = compute(random_potential, numbers, positions, cell, virial=True).virial

    def energy(strains):  # nine independent components: their rotation changes nothing
        deformations = np.eye(3) + strains.reshape(-1, 3, 3)
        cells = None if cell is None else cell @ deformations
        return energies(random_potential, numbers, positions @ deformations, cells)

    bound = 1e-6 if "0.3" in name else 1e-8
    assert_close(virial, -central_differences(energy, 9).reshape(3, 3), bound)
    assert_close(virial, virial.T, 1e-12)


@pytest.mark.parametrize("cutoff", [3.5, 6.0])
def test_work_across_the_cutoffs(random_potential, cutoff):
    """Where a pair leaves a list, the integral of the force is still the difference of the energies.

    Each side by itself: at the long-range cutoff the slope of the electrostatic force jumps.
    """
    nodes, weights = np.polynomial.legendre.leggauss(20)
    distances = cutoff + 0.025 * np.concatenate([nodes - 1, nodes + 1])
    ends = [compute(random_potential, [8, 6], line(2, 0.0, cutoff + d), None).energy for d in (-0.05, 0.05)]
    forces = [compute(random_potential, [8, 6], line(2, 0.0, d), None).forces[1, 2] for d in distances]
    assert ends[0] - ends[1] == pytest.approx(0.025 * np.tile(weights, 2) @ forces, abs=1e-12)


def test_forces_add_up_to_zero(random_potential):
    for numbers, positions, cell in SYSTEMS.values():
        forces = compute(random_potential, numbers, positions, cell).forces
        assert_close(forces.sum(0), np.zeros(3), 1e-11 * max(1.0, np.abs(forces).max()))


# -- symmetries --------------------------------------------------------------------------------------


@every_system
@pytest.mark.parametrize("reflect", [False, True])
def test_rotation(random_potential, name, reflect):
    numbers, positions, cell = SYSTEMS[name]
    rotation = random_rotation(3, reflect)
    before = compute(random_potential, numbers, positions, cell, virial=True)
    turned_cell = None if cell is None else cell @ rotation.T
    after = compute(random_potential, numbers, np.array(positions) @ rotation.T, turned_cell, virial=True)
    assert_close(after.energy, before.energy, 1e-10)
    assert_close(after.forces, before.forces @ rotation.T, 1e-10)
    assert_close(after.dipole, before.dipole @ rotation.T, 1e-10)
    assert_close(after.virial, rotation @ before.virial @ rotation.T, 1e-10)


@every_system
@pytest.mark.parametrize("shift", [(1.3, -0.7, 4.1), (500.0, 0.0, 0.0), (-310.0, 400.0, 290.0)])
def test_translation(random_potential, name, shift):
    """Positions 500 Å away keep 13 digits, so results agree to the rounding of the positions."""
    numbers, positions, cell = SYSTEMS[name]
    before = compute(random_potential, numbers, positions, cell)
    after = compute(random_potential, numbers, np.array(positions) + shift, cell)
    stiffness = np.abs(before.forces).max() if "0.3" in name else 1.0
    assert_same(after, before, 1e-10 * max(1.0, stiffness))


@every_system
def test_translation_in_single_precision(engine_of, name):
    """A molecule far from the origin is computed as well as one at the origin."""
    potential = engine_of(random_model(hyperparameters(**PHYSICS)), precision="single")
    numbers, positions, cell = SYSTEMS[name]
    before = compute(potential, numbers, positions, cell)
    after = compute(potential, numbers, np.add(positions, [500.0, -400.0, 300.0]), cell)
    assert_same(after, before, 2e-5)


@every_system
def test_permutation(random_potential, name):
    numbers, positions, cell = SYSTEMS[name]
    order = np.random.default_rng(4).permutation(len(numbers))
    before = compute(random_potential, numbers, positions, cell)
    after = compute(random_potential, np.array(numbers)[order], np.array(positions)[order], cell)
    assert_close(after.energy, before.energy, 1e-10)
    assert_close(after.forces, before.forces[order], 1e-10)
    assert_close(after.partial_charges, before.partial_charges[order], 1e-10)
    assert_close(after.hirshfeld_ratios, before.hirshfeld_ratios[order], 1e-10)


@pytest.mark.parametrize("name", [name for name, (_, _, cell) in SYSTEMS.items() if cell is not None])
def test_wrapping_changes_nothing_but_the_dipole(random_potential, name):
    numbers, positions, cell = SYSTEMS[name]
    jumps = np.random.default_rng(8).integers(-5, 6, (len(numbers), 3)) @ cell
    before = compute(random_potential, numbers, positions, cell, virial=True)
    after = compute(random_potential, numbers, positions + jumps, cell, virial=True)
    assert_same(after, before)
    assert_close(after.virial, before.virial, 1e-10)
    assert_close(after.dipole, before.dipole + after.partial_charges @ jumps, 1e-10)


@pytest.mark.parametrize("name", [name for name, (_, _, cell) in SYSTEMS.items() if cell is not None])
def test_equivalent_box_vectors(random_potential, name):
    """Another basis of the same lattice, very oblique and left-handed."""
    numbers, positions, cell = SYSTEMS[name]
    basis = np.array([[1, 0, 0], [2, 1, 0], [-1, 1, -1]])
    assert_same(
        compute(random_potential, numbers, positions, basis @ cell),
        compute(random_potential, numbers, positions, cell),
    )


@pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 3, 2), (3, 3, 3)])
@pytest.mark.parametrize("name", ["box smaller than the cutoffs", "single atom in a small box", "triclinic box"])
def test_supercell(engine_of, name, repeats):
    potential = engine_of(random_model(hyperparameters(**PHYSICS)))
    numbers, positions, cell = SYSTEMS[name]
    copies = np.array(list(np.ndindex(*repeats)))
    one = potential.compute(numbers, positions, cell=cell, charge=0.5, virial=True)
    many = potential.compute(
        np.tile(numbers, len(copies)),
        np.concatenate([positions + shift for shift in copies @ cell]),
        cell=cell * np.array(repeats)[:, None],
        charge=0.5 * len(copies),
        virial=True,
    )
    assert_close(many.energy, len(copies) * one.energy, 1e-10)
    assert_close(many.forces, np.tile(one.forces, (len(copies), 1)), 1e-10)
    assert_close(many.virial, len(copies) * one.virial, 1e-10)


def test_separated_molecules_add_up(engine_of):
    """Neutral molecules beyond the long-range cutoff of each other; charges are conserved for all atoms together,
    so the model has none."""
    potential = engine_of(random_model(hyperparameters(hirshfeld_ratios=True, dispersion=True, zbl=True)))
    other = random_molecule(3)
    one = potential.compute(MOLECULE.atomic_numbers, MOLECULE.positions)
    two = potential.compute(other.atomic_numbers, other.positions)
    both = potential.compute(
        np.concatenate([MOLECULE.atomic_numbers, other.atomic_numbers]),
        np.concatenate([MOLECULE.positions, np.add(other.positions, [12.0, 3.0, 0.0])]),
    )
    assert_close(both.energy, one.energy + two.energy, 1e-11)
    assert_close(both.forces, np.concatenate([one.forces, two.forces]), 1e-11)


@pytest.mark.parametrize("distance", [8e3, 1e6])
def test_molecules_very_far_apart_without_a_cutoff(so3lr, distance):
    """Powers of the distance would leave the range of single precision."""
    water = load_case("water")
    alone = Potential(so3lr, precision="double", lr_cutoff=None).compute(water.atomic_numbers, water.positions)
    both = Potential(so3lr, precision="single", lr_cutoff=None).compute(
        np.tile(water.atomic_numbers, 2),
        np.concatenate([water.positions, water.positions + distance * np.array([0.6, 0.0, 0.8])]),
    )
    assert abs(both.energy - 2 * alone.energy) < 1e-5
    assert np.abs(both.forces - np.tile(alone.forces, (2, 1))).max() < 1e-5


def test_molecule_in_a_huge_box_is_free(random_potential):
    free = compute(random_potential, MOLECULE.atomic_numbers, MOLECULE.positions, None)
    boxed = compute(random_potential, MOLECULE.atomic_numbers, MOLECULE.positions, 200.0 * np.eye(3))
    assert_same(boxed, free, 1e-11)


@pytest.mark.parametrize("outlier", [None, -7e6, 9e7])
@pytest.mark.parametrize("lr_cutoff", [12.0, 1000.0])
def test_long_range_in_single_precision_wherever_atoms_are(so3lr, outlier, lr_cutoff):
    """Cells and units of length are made for the extent: lost atoms change nothing for the others."""
    case = load_case("ac_ala3_nhme")
    numbers, positions = case.atomic_numbers, np.asarray(case.positions)
    if outlier is not None:
        # and two that are near, modulo the range of the coordinates at either cutoff
        others = [3 * [outlier], [1283.0, 0, 0], [81923.0, 0, 0]]
        numbers, positions = np.append(numbers, [10, 10, 10]), np.vstack([positions, others])
    single, double = (
        Potential(so3lr, precision=precision, lr_cutoff=lr_cutoff, threads=1, allow_untrained_elements=True).compute(
            numbers, positions
        )
        for precision in ("single", "double")
    )
    assert np.abs(single.forces - double.forces).max() < 2e-5
    for part in ("electrostatics", "dispersion"):
        assert abs(single.energy_parts[part] - double.energy_parts[part]) < 1e-4
        assert abs(double.energy_parts[part]) > 0.1
