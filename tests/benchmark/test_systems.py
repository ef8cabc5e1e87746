"""The benchmark's systems: density, geometry, no overlaps, the same each time."""

import numpy as np
import pytest

from openmm_so3krates.benchmark.systems import LADDER, _repeated_water, water

SMALL = [rung for rung in LADDER if rung.atoms <= 1536]


@pytest.mark.parametrize("rung", SMALL, ids=lambda rung: f"{rung.name} {rung.atoms}")
def test_systems(rung):
    system = rung.build()
    assert system.name == rung.name
    assert len(system.atomic_numbers) == len(system.positions) == rung.atoms
    np.testing.assert_array_equal(system.positions, rung.build().positions)
    waters = list(system.atomic_numbers[-3:]) == [8, 1, 1]
    assert waters == (system.cell is not None)
    solute = 42 if "in water" in rung.name else 0 if waters else rung.atoms
    molecule = np.concatenate([np.zeros(solute, int), 1 + np.arange(rung.atoms - solute) // 3])
    vectors = system.positions[:, None] - system.positions
    if waters:
        edge = system.cell[0, 0]
        np.testing.assert_array_equal(system.cell, edge * np.eye(3))
        vectors -= edge * np.round(vectors / edge)
    distances = np.linalg.norm(vectors, axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert distances[molecule[:, None] != molecule].min(initial=np.inf) > 1.55  # Å, atoms of different molecules
    assert 0.9 < distances.min() < 1.1  # X-H
    for a, b in ((0, 1), (0, 2)):
        bonds = distances[solute + a :: 3][:, solute + b :: 3].diagonal()
        np.testing.assert_allclose(bonds if waters else [0.9572], 0.9572, atol=1e-9)


def test_water_density_and_orientation():
    system = next(rung for rung in LADDER if rung.atoms == 648).build()
    grams = 216 * 18.015 / 6.02214076e23
    assert grams / (np.linalg.det(system.cell) * 1e-24) == pytest.approx(0.997, rel=1e-3)
    molecules = system.positions.reshape(-1, 3, 3)
    dipoles = molecules[:, 1] + molecules[:, 2] - 2 * molecules[:, 0]
    mean = dipoles.mean(axis=0) / np.linalg.norm(dipoles[0])
    assert np.linalg.norm(mean) < 4 / np.sqrt(len(molecules))


def test_solvation_removes_what_the_peptide_replaces():
    """A peptide of 42 atoms takes the place of some 5 to 30 molecules of a box that holds 512 without it."""
    system = next(rung for rung in LADDER if "in water" in rung.name).build()
    assert 482 <= (len(system.positions) - 42) / 3 <= 507
    inside = system.positions[:42]
    assert (inside > 0).all() and (inside < system.cell.diagonal()).all()


def test_the_largest_boxes_are_a_smaller_one_repeated():
    block, large = water(4), _repeated_water(4, 2)
    np.testing.assert_allclose(large.cell, 2 * block.cell)
    assert len(large.atomic_numbers) == len(large.positions) == 8 * 192
    for k, corner in enumerate(np.ndindex(2, 2, 2)):
        part = slice(192 * k, 192 * (k + 1))
        np.testing.assert_array_equal(large.atomic_numbers[part], block.atomic_numbers)
        np.testing.assert_allclose(large.positions[part], block.positions + corner @ block.cell)
    sizes = [rung.atoms for rung in LADDER]
    assert sizes == sorted(sizes) and sizes[-1] == 3 * 14**3 * 5**3 and sizes[-2] == 3 * 16**3 * 3**3
