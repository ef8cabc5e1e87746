"""The same bits from run to run and for any number of threads; batches are their molecules."""

import numpy as np
import pytest
from cases import load_case
from random_models import EMBEDDINGS, PHYSICS, hyperparameters, random_box, random_model, random_molecule

from openmm_so3krates import Model, Potential

FIELDS = ("energy", "forces", "partial_charges", "hirshfeld_ratios", "dipole", "virial")


def assert_same_bits(result, expected):
    for field in FIELDS:
        assert np.array_equal(getattr(result, field), getattr(expected, field)), field
    assert result.energy_parts == expected.energy_parts


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("name", ["ac_ala3_nhme", "water_64_lr12_images", "single_atom"])
def test_threads_and_runs(so3lr, name, precision):
    case = load_case(name)

    def compute(potential):
        return potential.compute(case.atomic_numbers, case.positions, **case.system, virial=True)

    options = {"precision": precision, "lr_cutoff": case.lr_cutoff}
    expected = compute(Potential(so3lr, threads=1, **options))
    for threads in (1, 2, 3):
        potential = Potential(so3lr, threads=threads, **options)
        assert potential.threads == threads
        for _ in range(2):
            assert_same_bits(compute(potential), expected)


@pytest.mark.parametrize("name", ["ethanol", "water_64_lr12_images"])
@pytest.mark.parametrize("precision", ["single", "double"])
def test_kept_filters_are_the_computed_ones(so3lr, name, precision, monkeypatch):
    """Whether the edge filters are kept for the way back or computed again changes no bit."""
    case = load_case(name)
    results = []
    for kept in (True, False):
        monkeypatch.setenv("SO3KRATES_CPU_FILTER_BYTES", str(10**9 if kept else 0))
        potential = Potential(so3lr, threads=2, precision=precision, lr_cutoff=case.lr_cutoff)
        results.append(potential.compute(case.atomic_numbers, case.positions, **case.system, virial=True))
    assert_same_bits(*results)


def test_results_do_not_depend_on_what_was_computed_before(random_potential):
    """The engine keeps its buffers between calls of different sizes."""
    systems = [random_molecule(1), random_box(2), random_molecule(3, 1), random_molecule(4, 12, 6.0)]
    first = [random_potential.compute(s.atomic_numbers, s.positions, **s.call, virial=True) for s in systems]
    for k in (2, 0, 3, 1, 0):
        s = systems[k]
        again = random_potential.compute(s.atomic_numbers, s.positions, **s.call, virial=True)
        assert_same_bits(again, first[k])


def test_earlier_results_are_left_alone(random_potential):
    one, other = random_molecule(1), random_molecule(5)
    result = random_potential.compute(one.atomic_numbers, one.positions)
    forces = result.forces.copy()
    random_potential.compute(other.atomic_numbers, other.positions)
    assert np.array_equal(result.forces, forces)


@pytest.mark.parametrize("precision, bound", [("single", 1e-4), ("double", 1e-11)])
@pytest.mark.parametrize("threads", [1, 2])
def test_batch_is_its_molecules(engine_of, precision, bound, threads):
    model = random_model(hyperparameters(**PHYSICS, **EMBEDDINGS))
    potential = engine_of(model, precision=precision, threads=threads)
    systems = [random_molecule(1), random_box(2), random_molecule(3, 1), random_box(4, 3), random_molecule(5, 2)]
    offsets = np.cumsum([0, *(len(s.positions) for s in systems)])
    batch = potential.compute_batch(
        np.concatenate([s.atomic_numbers for s in systems]),
        np.concatenate([s.positions for s in systems]),
        offsets,
        cells=np.array([np.zeros((3, 3)) if s.cell is None else s.cell for s in systems]),
        charges=[s.charge for s in systems],
        spins=[s.spin for s in systems],
        virial=True,
    )
    for k, s in enumerate(systems):
        one = potential.compute(s.atomic_numbers, s.positions, **s.call, virial=True)
        atoms = slice(offsets[k], offsets[k + 1])

        def same(values, expected):
            return np.abs(values - expected).max() < bound * max(1.0, np.abs(expected).max())

        assert same(batch.energies[k], one.energy)
        for part, energy in one.energy_parts.items():
            assert same(batch.energy_parts[part][k], energy)
        assert same(batch.forces[atoms], one.forces)
        assert same(batch.partial_charges[atoms], one.partial_charges)
        assert same(batch.hirshfeld_ratios[atoms], one.hirshfeld_ratios)
        assert same(batch.dipoles[k], one.dipole)
        assert same(batch.virials[k], one.virial)


def test_defaults_of_a_batch(random_potential):
    """No cells, charges or spins: free neutral molecules."""
    one = random_molecule(1)
    batch = random_potential.compute_batch(np.tile(one.atomic_numbers, 2), np.tile(one.positions, (2, 1)), [0, 7, 14])
    single = random_potential.compute(one.atomic_numbers, one.positions)
    assert batch.energies == pytest.approx([single.energy] * 2, abs=1e-11)
    assert batch.virials is None


def test_a_model_is_shared_between_potentials(so3lr):
    model = Model.load(str(so3lr))
    case = load_case("water")
    by_path, by_model = Potential(so3lr), Potential(model)
    call = (case.atomic_numbers, case.positions)
    assert by_path.compute(*call).energy == by_model.compute(*call).energy


def test_inputs_of_other_types(random_potential):
    """Lists, float32, integers, torch tensors, strided arrays: all the same numbers."""
    torch = pytest.importorskip("torch")
    positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.25, 0.0]])
    expected = random_potential.compute([8, 1, 1], positions)
    for numbers, given in (
        ([8, 1, 1], positions.tolist()),
        (np.array([8, 1, 1], np.uint8), positions.astype(np.float32)),
        (torch.tensor([8, 1, 1]), torch.tensor(positions)),
        (np.array([8, 0, 1, 0, 1])[::2], np.asfortranarray(positions)),
        ((8, 1, 1), np.repeat(positions, 2, axis=0)[::2]),
    ):
        assert np.array_equal(random_potential.compute(numbers, given).forces, expected.forces)
