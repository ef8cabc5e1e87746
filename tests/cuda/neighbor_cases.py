"""Random systems for neighbor lists, brute force, and the device's lists in a form that can be compared with it."""

import numpy as np

NO_BOX = np.zeros((3, 3))


def random_box(rng) -> np.ndarray:
    """Boxes of all shapes, turned in space: flat, long, oblique, smaller and larger than the cutoffs."""
    while True:
        cell = np.diag(rng.choice([rng.uniform(0.7, 3), rng.uniform(3, 8), rng.uniform(8, 30)], 3))
        if rng.random() < 0.6:
            cell[1, 0], cell[2, 0], cell[2, 1] = rng.uniform(-1.5, 1.5, 3) * [cell[0, 0], cell[0, 0], cell[1, 1]]
        if rng.random() < 0.3:  # left-handed too
            cell = cell[rng.permutation(3)]
        if rng.random() < 0.5:
            cell = cell @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
        if heights(cell).min() > 0.6 and abs(np.linalg.det(cell)) > 3:
            return cell


def heights(cell: np.ndarray) -> np.ndarray:
    """Distances of opposite faces."""
    return 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)


def random_molecule(rng) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 3) and box (3, 3), zero for none."""
    n = int(rng.integers(1, 13))
    if rng.random() < 0.55:
        cell = random_box(rng)
        n = min(n, 1 + int(abs(np.linalg.det(cell)) / 10))
        positions = rng.uniform(0, 1, (n, 3)) @ cell
        if rng.random() < 0.3:  # far outside
            positions += rng.integers(-40, 41, (n, 3)) @ cell
        if rng.random() < 0.1:  # on faces and edges
            positions[0] = rng.integers(-1, 2, 3) @ cell
    else:
        cell = NO_BOX
        positions = rng.uniform(0, rng.uniform(0.5, 20), (n, 3))
        kind = rng.random()
        if kind < 0.2:
            positions += rng.uniform(-1e5, 1e5, 3)
        elif kind < 0.4:  # two clusters
            positions[n // 2 :] += rng.choice([-1e6, 1e6], 3)
    if n > 1 and rng.random() < 0.2:  # nearly touching
        direction = rng.normal(size=3)
        positions[1] = positions[0] + direction / np.linalg.norm(direction) * rng.uniform(2e-4, 5e-3)
    return positions, cell


def brute_force(positions: np.ndarray, cell: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Edges (E, 5) of receiver, sender and shift with their distances (E,), a little beyond the cutoff."""
    n = len(positions)
    pairs = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), -1).reshape(-1, 1, 2)
    if not cell.any():
        images = np.zeros((1, 3), int)
        centers = np.zeros((n * n, 1, 3), int)
    else:
        reach = np.ceil(cutoff / heights(cell)).astype(int) + 1
        images = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), -1).reshape(-1, 3)
        fractions = positions @ np.linalg.inv(cell)
        centers = np.rint(fractions[pairs[..., 0]] - fractions[pairs[..., 1]]).astype(int)
    shifts = centers + images
    vectors = positions[pairs[..., 1]] - positions[pairs[..., 0]] + shifts @ cell
    distances = np.linalg.norm(vectors, axis=-1)
    itself = (pairs[..., 0] == pairs[..., 1]) & ~shifts.any(-1)
    found = (distances < cutoff + 1e-3) & ~itself
    edges = np.concatenate([np.broadcast_to(pairs, (*shifts.shape[:2], 2)), shifts], -1)
    return edges[found], distances[found]


def edges_of(built: dict, which: str, molecule: np.ndarray) -> np.ndarray:
    """A list of the device as edges (E, 5), in its order; also checks that it is in the order promised."""
    count, senders, images = built[which]
    used = np.arange(senders.shape[1]) < count[:, None]
    receivers = np.nonzero(used)[0]
    senders, images = senders[used].astype(np.int64), images[used].astype(np.int64)
    key = (receivers * len(count) + senders) * 2**24 + images
    assert (np.diff(key) > 0).all()
    owner = molecule[receivers]
    assert (molecule[senders] == owner).all()
    ranges = built["ranges"][owner]
    widths = 2 * ranges + 1
    n = np.stack(
        [images // (widths[:, 1] * widths[:, 2]), images // widths[:, 2] % widths[:, 1], images % widths[:, 2]], 1
    )
    shifts = n - ranges + built["wraps"][senders] - built["wraps"][receivers]
    return np.column_stack([receivers, senders, shifts])


def vectors_of(built: dict, which: str, molecule: np.ndarray) -> np.ndarray:
    """Vectors from receiver to sender (E, 3) as the kernels take them."""
    count, senders, images = built[which]
    used = np.arange(senders.shape[1]) < count[:, None]
    receivers = np.nonzero(used)[0]
    rows = built["first_image"][molecule[receivers]] + images[used]
    return built["wrapped"][senders[used]] - built["wrapped"][receivers] + built["shifts"][rows]


def assert_same_edges(found: np.ndarray, edges: np.ndarray, distances: np.ndarray, cutoff: float, tolerance: float):
    """`found` holds all `edges` inside the cutoff and no others; within the tolerance both is right."""
    found = set(map(tuple, found.tolist()))
    inside = set(map(tuple, edges[distances < cutoff - tolerance].tolist()))
    allowed = set(map(tuple, edges[distances < cutoff + tolerance].tolist()))
    assert inside <= found, f"missing: {sorted(inside - found)[:5]}"
    assert found <= allowed, f"too many: {sorted(found - allowed)[:5]}"
