"""Evaluations whose positions and results stay in device memory, and their replay, executed on the CPU."""

import numpy as np
import pytest
from random_models import hyperparameters, random_model
from test_cuda_potential import ODD

LR_CUTOFF = 5.0


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "odd.safetensors"
    random_model(hyperparameters(**ODD, zbl=True)).save(path, provenance={"source": "random numbers"})
    return path


@pytest.fixture
def make(emulated, model_file):
    return lambda: emulated("odd_double").Potential(str(model_file), LR_CUTOFF)


class Batch:
    """A box and a molecule."""

    def __init__(self):
        rng = np.random.default_rng(8)
        self.numbers = np.array([8, 1, 1, 6, 1, 7, 1, 8])
        self.offsets = np.array([0, 5, 8])
        self.positions = rng.uniform(0, 5, (8, 3))
        self.positions[5:] += 3 * np.arange(3)[:, None]
        self.cells = np.array([[[7.0, 0, 0], [1, 6.5, 0], [0.5, -1, 6.8]], np.zeros((3, 3))])

    def moved(self, seed, amount=0.1):
        changed = Batch()
        changed.positions = self.positions + np.random.default_rng(seed).uniform(-amount, amount, (8, 3))
        return changed

    def scaled(self, factor):
        changed = Batch()
        changed.positions, changed.cells = self.positions * factor, self.cells * factor
        return changed

    def prepare(self, potential, **wishes):
        potential.prepare(self.numbers, self.offsets, self.cells, **wishes)
        potential.write_positions(self.positions)

    def run(self, potential, **wishes):
        """All of it, as often as the lists need; what is in the buffers."""
        self.prepare(potential, **wishes)
        potential.enqueue()
        while not potential.finish():
            potential.enqueue()
        return potential.buffers()

    def computed(self, potential):
        """By way of arrays on the host."""
        zeros = np.zeros(2)
        return potential.compute(self.numbers, self.positions, self.offsets, self.cells, zeros, zeros, True, True)


def assert_same_bits(a, b):
    for name, values in a.items():
        assert (values is None) == (b[name] is None)
        if values is not None:
            assert np.isfinite(values).all()
            assert values.tobytes() == b[name].tobytes(), name


def test_buffers_hold_what_compute_returns(make):
    result = Batch().run(make(), virials=True)
    expected = Batch().computed(make())
    for name in ("forces", "partial_charges", "hirshfeld_ratios"):
        assert result[name].tobytes() == expected[name].tobytes(), name
    sums = result["sums"]
    np.testing.assert_array_equal(sums[:, :4], expected["energies"][:, 1:])
    np.testing.assert_array_equal(-sums[:, [4, 9, 8, 9, 5, 7, 8, 7, 6]].reshape(2, 3, 3), expected["virials"])
    np.testing.assert_array_equal(sums[:, 10:], expected["dipoles"])
    assert np.abs(result["forces"]).max() > 0.1


def test_replay_after_positions_and_boxes_changed(make):
    """One recording, the bits of fresh evaluations: small moves, large ones, another box."""
    potential = make()
    Batch().run(potential, virials=True)
    potential.record()
    allocations, downloads = potential_counts(potential)
    generation = potential.generation
    steps = [Batch().moved(1), Batch().moved(2, 3.0), Batch().scaled(1.05), Batch().scaled(1.05).moved(3), Batch()]
    for changed in steps:
        changed.prepare(potential, virials=True)
        assert potential.generation == generation
        potential.replay()
        assert potential.finish()
        assert potential_counts(potential) == (allocations, downloads)
        result = potential.buffers()
        allocations, downloads = potential_counts(potential)
        assert_same_bits(result, changed.run(make(), virials=True))


def potential_counts(potential):
    return potential.device.allocations, potential.device.downloads


def test_lists_that_do_not_fit(make, model_file, emulated):
    """finish() says so, the recording is invalid, and the next try has the room."""
    potential = make()
    Batch().run(potential)
    potential.record()
    generation = potential.generation
    crowded = Batch().scaled(0.4)  # many more images
    crowded.prepare(potential)
    assert potential.generation > generation  # of box vectors, too
    potential.enqueue()
    generation = potential.generation
    assert not potential.finish()
    assert potential.generation > generation
    tries = 1
    potential.enqueue()
    while not potential.finish():
        tries += 1
        potential.enqueue()
    assert tries <= 2
    generation = potential.generation
    potential.record()
    potential.replay()
    assert potential.finish()
    assert potential.generation == generation
    assert_same_bits(potential.buffers(), crowded.run(make()))


def test_generation_changes_with_atoms_and_wishes_only(make):
    potential = make()
    batch = Batch()
    seen = []
    for wishes in ({}, {"virials": True}, {"forces": False}):
        batch.prepare(potential, **wishes)
        batch.prepare(potential, **wishes)
        seen.append(potential.generation)
        batch.prepare(potential, **wishes)
        assert potential.generation == seen[-1]
    batch.numbers = batch.numbers[::-1].copy()
    batch.prepare(potential, forces=False)
    seen.append(potential.generation)
    assert len(set(seen)) == len(seen)
    assert batch.run(potential, forces=False)["forces"] is None
    assert_same_bits(batch.run(potential), batch.run(make()))


def test_bad_positions_are_named_and_done_with(make):
    potential = make()
    Batch().run(potential)
    for changed, message in ((np.nan, "position of atom 3"), (Batch().positions[1], "atoms 1 and 3 .* same place")):
        bad = Batch()
        bad.positions[3] = changed
        with pytest.raises(ValueError, match=message):
            bad.run(potential)
        assert_same_bits(Batch().run(potential), Batch().run(make()))


def test_energy_that_is_not_finite(emulated, tmp_path):
    """Told by download(), or by the finish() of the next evaluation, once."""
    model = random_model(hyperparameters(**ODD))
    for parameter in model.parameters():
        parameter.data *= 1e60
    path = tmp_path / "huge.safetensors"
    model.save(path, provenance={"source": "random numbers"})
    potential = emulated("odd_double").Potential(str(path), LR_CUTOFF)
    Batch().run(potential)
    with pytest.raises(ValueError, match="energy of molecule 0 is not a finite number"):
        Batch().run(potential)
    Batch().run(potential)
    with pytest.raises(ValueError, match="energy of molecule 0 is not a finite number"):
        potential.download()
    Batch().run(potential)


def test_enqueue_needs_prepare(make):
    with pytest.raises(RuntimeError, match="before prepare"):
        make().enqueue()
