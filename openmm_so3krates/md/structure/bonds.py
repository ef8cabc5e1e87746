"""Bonds from distances. The model needs none; molecules do: to be kept whole, scaled by a barostat, compared."""

from __future__ import annotations

import numpy as np
from openmm import app
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.spatial import cKDTree

# Å, Cordero et al., Dalton Trans. 2008, 2832 (low-spin values); by atomic number from 1.
_COVALENT_RADII = (
    "0.31 0.28 1.28 0.96 0.84 0.76 0.71 0.66 0.57 0.58 1.66 1.41 1.21 1.11 1.07 1.05 1.02 1.06 2.03 1.76 1.70 1.60 "
    "1.53 1.39 1.39 1.32 1.26 1.24 1.32 1.22 1.22 1.20 1.19 1.20 1.20 1.16 2.20 1.95 1.90 1.75 1.64 1.54 1.47 1.46 "
    "1.42 1.39 1.45 1.44 1.42 1.39 1.39 1.38 1.39 1.40"
)
_OTHER_RADIUS = 1.5  # Å, elements beyond xenon
_TOLERANCE = 1.25  # times the sum of the radii
# Alkali and alkaline earth metals are ions at bonding distance of many atoms; noble gases bind nothing.
_NEVER_BONDED = (2, 3, 10, 11, 12, 18, 19, 20, 36, 37, 38, 54, 55, 56, 86, 87, 88)

COVALENT_RADII = np.full(119, 0.1 * _OTHER_RADIUS)  # nm
COVALENT_RADII[1:55] = 0.1 * np.array(_COVALENT_RADII.split(), float)


def minimum_image(vectors: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """Shortest periodic images of `vectors` (..., 3), exact for vectors shorter than half the box."""
    if box is None:
        return vectors
    vectors = vectors.copy()
    for axis in (2, 1, 0):  # the order of OpenMM's reduced box form
        vectors -= np.round(vectors[..., axis : axis + 1] / box[axis, axis]) * box[axis]
    return vectors


def find_bonds(atomic_numbers: np.ndarray, positions: np.ndarray, box: np.ndarray | None = None) -> np.ndarray:
    """(B, 2) pairs i < j in rising order whose distance is at most 1.25 times the sum of their covalent radii.

    `positions` (N, 3) and `box` (3, 3, rows are vectors in OpenMM's reduced form, or None) in nm.
    """
    radii = np.where(np.isin(atomic_numbers, _NEVER_BONDED), 0.0, COVALENT_RADII[atomic_numbers])
    reach = 2 * _TOLERANCE * radii.max()
    owners = np.arange(len(positions))
    points = positions
    if box is not None:
        fractional = positions @ np.linalg.inv(box)
        fractional -= np.floor(fractional)
        margin = reach * np.linalg.norm(np.linalg.inv(box), axis=0)  # of the fractional coordinates
        for axis in range(3):  # copies of the atoms near the faces
            for side in (1, -1):
                near = fractional[:, axis] < margin[axis] if side == 1 else fractional[:, axis] > 1 - margin[axis]
                near &= (fractional[:, axis] >= 0) & (fractional[:, axis] < 1)
                copies = fractional[near]
                copies[:, axis] += side
                fractional, owners = np.vstack([fractional, copies]), np.append(owners, owners[near])
        points = fractional @ box
    pairs = cKDTree(points).query_pairs(max(reach, 1e-9), output_type="ndarray")
    distances = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    bonded_radii = radii[owners[pairs]]
    bonded = (bonded_radii > 0).all(axis=1) & (distances <= _TOLERANCE * bonded_radii.sum(axis=1))
    bonds = np.sort(owners[pairs[bonded]], axis=1)
    return np.unique(bonds[bonds[:, 0] != bonds[:, 1]], axis=0)


def add_missing_bonds(topology: app.Topology, positions: np.ndarray, box: np.ndarray | None) -> None:
    """Adds the bonds of atoms that have none in `topology`: residues without a template or CONECT records."""
    atoms = list(topology.atoms())
    has_bond = np.zeros(len(atoms), bool)
    for bond in topology.bonds():
        has_bond[[bond[0].index, bond[1].index]] = True
    if has_bond.all():
        return
    numbers = np.array([atom.element.atomic_number for atom in atoms])
    for first, second in find_bonds(numbers, positions, box):
        if not (has_bond[first] and has_bond[second]):
            topology.addBond(atoms[first], atoms[second])


def molecules_of(num_atoms: int, bonds: np.ndarray) -> list[list[int]]:
    """Connected atoms, each molecule in rising order, molecules ordered by their first atom."""
    graph = coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(num_atoms, num_atoms))
    _, labels = connected_components(graph, directed=False)
    molecules: dict[int, list[int]] = {}
    for atom, label in enumerate(labels):
        molecules.setdefault(label, []).append(atom)
    return list(molecules.values())


def make_molecules_whole(topology: app.Topology, positions: np.ndarray, box: np.ndarray | None) -> bool:
    """Moves atoms by box vectors, in place, so that no molecule is cut by the periodic boundary.

    Returns whether that is impossible: bonds that run through the whole box.
    """
    bonds = np.array([(bond[0].index, bond[1].index) for bond in topology.bonds()], int).reshape(-1, 2)
    if box is None or len(bonds) == 0:
        return False
    cut = positions[bonds[:, 1]] - positions[bonds[:, 0]]
    if np.allclose(cut, minimum_image(cut, box), atol=1e-6):
        return False
    num_atoms = len(positions)
    graph = coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(num_atoms, num_atoms)).tocsr()
    for members in molecules_of(num_atoms, bonds):
        if len(members) == 1:
            continue
        order, predecessors = breadth_first_order(graph, members[0], directed=False)
        for atom in order[1:]:
            anchor = positions[predecessors[atom]]
            positions[atom] = anchor + minimum_image(positions[atom] - anchor, box)
    cut = positions[bonds[:, 1]] - positions[bonds[:, 0]]
    return not np.allclose(cut, minimum_image(cut, box), atol=1e-6)
