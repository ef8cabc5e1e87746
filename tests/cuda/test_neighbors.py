"""The neighbor lists of the CUDA backend, executed on the CPU, against brute force and the CPU engine."""

import numpy as np
import pytest
from neighbor_cases import (
    NO_BOX,
    assert_same_edges,
    brute_force,
    edges_of,
    random_molecule,
    vectors_of,
)

from openmm_so3krates import _engine

BATCH = 100
METHODS = pytest.mark.parametrize("cell_threshold", [0, 10**6], ids=["cells", "all pairs"])


@pytest.fixture(scope="module")
def module(emulated):
    return emulated("neighbors")


@pytest.fixture
def lists(module):
    """lists(**settings): neighbor lists on a device of their own, which must be empty afterwards."""
    before = module.leaked_allocations()
    yield lambda **settings: module.NeighborLists(module.Device(), **settings)
    assert module.leaked_allocations() == before


def pack(molecules):
    """Arguments of build() for molecules [(positions, cell)], and the molecule of every atom."""
    sizes = [len(positions) for positions, _ in molecules]
    positions = np.concatenate([positions for positions, _ in molecules])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    cells = np.array([cell for _, cell in molecules])
    return (positions, offsets, cells), np.repeat(np.arange(len(molecules)), sizes)


def check(built, molecules, owner, which, cutoff):
    """One of the lists against brute force and the CPU engine, molecule by molecule."""
    edges = edges_of(built, which, owner)
    lengths = np.linalg.norm(vectors_of(built, which, owner), axis=1)
    assert (lengths < cutoff + 1e-12).all()
    receivers = owner[edges[:, 0]]
    first = np.searchsorted(receivers, np.arange(len(molecules) + 1))
    start = np.searchsorted(owner, np.arange(len(molecules)))
    for m, (positions, cell) in enumerate(molecules):
        found = edges[first[m] : first[m + 1]] - np.array([start[m], start[m], 0, 0, 0])
        expected, distances = brute_force(positions, cell, cutoff)
        tolerance = 1e-12 + 1e-15 * np.abs(positions).max()
        assert_same_edges(found, expected, distances, cutoff, tolerance)
        if cutoff not in distances and np.abs(distances - cutoff).min(initial=1) > tolerance:
            cpu = np.column_stack(_engine.neighbor_list(positions, cutoff, cell if cell.any() else None))
            assert np.array_equal(cpu[np.lexsort(cpu.T[::-1])], found[np.lexsort(found.T[::-1])])


def run_random_cases(lists, count, seed=0):
    rng = np.random.default_rng(seed)
    for batch in range(0, count, BATCH):
        molecules = [random_molecule(rng) for _ in range(min(BATCH, count - batch))]
        arguments, owner = pack(molecules)
        short, long = np.sort(rng.uniform(0.3, 6, 2))
        settings = {
            "skin": float(rng.choice([0.0, 0.7])),
            "cell_threshold": int(rng.choice([0, 4, 10**6])),
            "first_capacity": int(rng.choice([1, 64])),
        }
        built = lists(**settings).build(*arguments, short, long)
        check(built, molecules, owner, "edges", short)
        check(built, molecules, owner, "far", long)


@pytest.mark.slow
def test_random_systems(lists, request):
    run_random_cases(lists, request.config.getoption("--neighbor-cases"))


def test_few_random_systems(lists, thread_order):
    run_random_cases(lists, 2 * BATCH, seed=1)


def test_under_sanitizers(sanitized):
    sanitized(__file__, "-k", "few_random or skin or overflow or refused")


def water_like(rng, n, length):
    """A crowded box: n atoms in a tilted cell."""
    cell = np.array([[length, 0, 0], [0.3 * length, length, 0], [-0.2 * length, 0.4 * length, length]])
    return rng.uniform(0, 1, (n, 3)) @ cell, cell


def rows(built, which):
    """What the kernels read of a list: counts, and the used part of senders and images."""
    count, senders, images = built[which]
    used = np.arange(senders.shape[1]) < count[:, None]
    return count, senders[used], images[used], built["wrapped"], built["shifts"]


def assert_same_bits(a, b):
    for which in ("edges", "far"):
        for x, y in zip(rows(a, which), rows(b, which), strict=True):
            assert x.tobytes() == y.tobytes()


@METHODS
def test_large_molecule(lists, cell_threshold):
    rng = np.random.default_rng(3)
    molecules = [water_like(rng, 150, 12.0), (rng.uniform(0, 12, (70, 3)) - 400, NO_BOX)]
    arguments, owner = pack(molecules)
    built = lists(skin=0.5, cell_threshold=cell_threshold).build(*arguments, 3.0, 5.0)
    check(built, molecules, owner, "edges", 3.0)
    check(built, molecules, owner, "far", 5.0)


def test_orders_and_methods_give_the_same_bits(lists, monkeypatch):
    rng = np.random.default_rng(4)
    arguments, _ = pack([water_like(rng, 60, 8.0), (rng.uniform(0, 9, (40, 3)), NO_BOX)])
    results = []
    for order in ["forward", "reverse", "random:1", "random:7"]:
        monkeypatch.setenv("SO3KRATES_EMULATION_ORDER", order)
        # The range of images is that of the skin: the same skin for equal numbers of images.
        results += [lists(skin=0.5, cell_threshold=t).build(*arguments, 3.0, 5.0) for t in (0, 10**6)]
    for other in results[1:]:
        assert_same_bits(results[0], other)


@METHODS
def test_skin(lists, cell_threshold):
    """A walk through the faces of the box: few rebuilds, and the lists of a fresh start at every step."""
    rng = np.random.default_rng(5)
    (positions, cell), free = water_like(rng, 40, 6.0), rng.uniform(0, 6, (20, 3))
    kept = lists(skin=0.8, cell_threshold=cell_threshold)
    rebuilds = []
    for _ in range(16):
        (moved, offsets, cells), owner = pack([(positions, cell), (free, NO_BOX)])
        built = kept.build(moved, offsets, cells, 2.5, 4.0)
        assert_same_bits(built, lists(skin=0.8, cell_threshold=cell_threshold).build(moved, offsets, cells, 2.5, 4.0))
        check(built, [(positions, cell), (free, NO_BOX)], owner, "far", 4.0)
        rebuilds.append(built["rebuilt"])
        positions = positions + rng.normal(size=positions.shape) * 0.05 + [0.03, 0, 0]
        free = free + 0.1
    assert rebuilds[0]
    assert 2 <= sum(rebuilds) <= 8


def test_skin_notices_what_changes(lists):
    rng = np.random.default_rng(6)
    (positions, offsets, cells), _ = pack([water_like(rng, 20, 6.0)])
    kept = lists(skin=1.0)
    build = lambda x=positions, o=offsets, c=cells, short=2.0: kept.build(x, o, c, short, 3.0)["rebuilt"]  # noqa: E731
    assert build()
    assert not build()
    one = positions.copy()
    one[7, 1] += 0.499
    assert not build(one)
    one[7, 1] += 0.002
    assert build(one)
    assert not build(one)
    assert build(one, c=cells * 1.001)
    assert build(one, c=cells * 1.001, short=2.1)
    two = np.array([0, 10, 20], np.int32)
    assert build(one, two, np.concatenate([cells, cells]), 2.1)


@METHODS
@pytest.mark.parametrize("skin", [0.0, 0.5])
def test_overflow_grows_and_repeats(module, lists, cell_threshold, skin):
    rng = np.random.default_rng(7)
    molecules = [water_like(rng, 60, 8.0)]
    arguments, owner = pack(molecules)
    small = lists(skin=skin, cell_threshold=cell_threshold, first_capacity=2)
    built = small.build(*arguments, 3.0, 5.0)
    assert built["repeats"] >= 1
    check(built, molecules, owner, "edges", 3.0)
    check(built, molecules, owner, "far", 5.0)
    assert_same_bits(
        built, lists(skin=skin, cell_threshold=cell_threshold, first_capacity=500).build(*arguments, 3.0, 5.0)
    )
    # Crowding after a first build; atoms gather in one corner.
    crowd = [(molecules[0][0] * 0.4, molecules[0][1])]
    crowded, owner = pack(crowd)
    built = small.build(*crowded, 3.0, 5.0)
    assert built["repeats"] >= 1
    check(built, crowd, owner, "far", 5.0)
    assert small.build(*crowded, 3.0, 5.0)["repeats"] == 0


def test_one_wait_per_build_and_no_allocation_later(module):
    rng = np.random.default_rng(8)
    device = module.Device()
    arguments, _ = pack([water_like(rng, 30, 7.0)])
    kept = module.NeighborLists(device, skin=0.5)
    kept.build(*arguments, 2.0, 3.0)
    allocations, downloads, notices = device.allocations, device.downloads, device.notices
    kept.build(*arguments, 2.0, 3.0)
    assert device.allocations == allocations
    # 5 arrays and 2 lists of 3 for this test
    assert device.downloads == downloads + 5 + 6
    assert device.notices == notices + 1
    del kept
    assert device.live_allocations == 0


def test_no_long_range_list(lists):
    arguments, _ = pack([(np.eye(3), NO_BOX)])
    assert lists().build(*arguments, 2.0, 0.0)["far"] is None
    assert lists().build(*arguments, 2.0, np.inf)["far"] is None


@METHODS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e8, 1e300])
def test_unusable_positions_are_refused(lists, cell_threshold, bad):
    rng = np.random.default_rng(9)
    (positions, offsets, cells), _ = pack([water_like(rng, 9, 6.0), (rng.uniform(0, 9, (5, 3)), NO_BOX)])
    kept = lists(skin=0.5, cell_threshold=cell_threshold)
    kept.build(positions, offsets, cells, 2.0, 3.0)
    broken = positions.copy()
    broken[4, 2] = broken[11, 0] = bad
    with pytest.raises(ValueError, match=r"the position of atom 4 \(counted from 0\) is not a finite number"):
        kept.build(broken, offsets, cells, 2.0, 3.0)
    kept.build(positions, offsets, cells, 2.0, 3.0)


@METHODS
def test_coincident_atoms_are_refused(lists, cell_threshold):
    rng = np.random.default_rng(10)
    positions, cell = water_like(rng, 8, 6.0)
    positions[5] = positions[2] + 5e-5 + cell[0] - 2 * cell[1]
    arguments, _ = pack([(np.eye(3), NO_BOX), (positions, cell)])
    with pytest.raises(ValueError, match=r"atoms 5 and 8 \(counted from 0\) are at the same place"):
        lists(cell_threshold=cell_threshold).build(*arguments, 2.0, 3.0)


def test_too_small_a_box_is_refused(lists):
    arguments, _ = pack([(np.zeros((1, 3)), np.diag([0.6, 5.0, 5.0]))])
    with pytest.raises(ValueError, match="too small for the cutoff"):
        lists().build(*arguments, 2.0, 200.0)


def test_distance_at_the_cutoff_is_outside(lists):
    arguments, _ = pack([(np.array([[0.0, 0, 0], [0, 0, 2], [0, 3, 0]]), NO_BOX)])
    count, _, _ = lists().build(*arguments, 2.0, np.nextafter(2.0, 3))["edges"]
    assert count.tolist() == [0, 0, 0]
    built = lists().build(*arguments, 2.0, np.nextafter(2.0, 3))["far"]
    assert built[0].tolist() == [1, 1, 0]
