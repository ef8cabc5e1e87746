"""What the torch operators do on a GPU: all results in device memory, and recorded into the caller's graph, whose
replays nobody on the host looks at. Executed on the CPU."""

import numpy as np
import pytest
from emulated_potential import EmulatedPotential
from random_models import hyperparameters, random_box, random_model, random_molecule
from test_cuda_potential import ODD

LR_CUTOFF = 5.0
HEADROOM = 0.5


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "odd.safetensors"
    random_model(hyperparameters(**ODD, zbl=True)).save(path, {"source": "random numbers"})
    return path


@pytest.fixture(scope="module")
def module(emulated):
    return emulated("odd_double")


class Call:
    """An operator's arguments and results, which stay where they are, and a potential of its own."""

    def __init__(self, module, model_file, system, dtype=np.float64, virial=True, cell_on_gpu=True):
        self.potential = module.Potential(str(model_file), LR_CUTOFF, headroom=HEADROOM)
        self.numbers, self.periodic = system.atomic_numbers, system.cell is not None
        self.positions = system.positions.astype(dtype)
        self.cell = np.zeros((3, 3), dtype) if system.cell is None else system.cell.astype(dtype)
        self.results = {
            "energy": np.zeros(1),
            "forces": np.zeros(self.positions.shape, dtype),
            "charges": np.zeros(len(self.positions), dtype),
            "virial": np.zeros((3, 3), dtype),
        }
        for array in (self.positions, self.cell, *self.results.values()):
            self.potential.device.adopt(array.ctypes.data, array.nbytes)
        self.virial, self.cell_on_gpu = virial, cell_on_gpu
        self.tensors = module.Tensors(
            self.positions.ctypes.data,
            self.cell.ctypes.data if self.periodic and cell_on_gpu else 0,
            *(self.results[name].ctypes.data for name in ("energy", "forces", "charges")),
            self.results["virial"].ctypes.data if virial else 0,
            dtype == np.float32,
            dtype == np.float32,
        )

    def host_cell(self):
        return self.cell[None].astype(float) if self.periodic else np.zeros((0, 3, 3))

    def compute(self):
        self.potential.compute_tensors(self.numbers, self.host_cell(), self.tensors)
        return self.copies()

    def can_record(self, numbers=None):
        # The host must not look at a box on the GPU.
        cell = np.zeros((0, 3, 3)) if self.cell_on_gpu else self.host_cell()
        return self.potential.can_record_tensors(self.numbers if numbers is None else numbers, cell, self.tensors)

    def record(self):
        self.potential.record_tensors(self.numbers, np.zeros((0, 3, 3)), self.tensors)

    def replay(self):
        for array in self.results.values():
            array[:] = 99
        self.potential.replay()
        return self.copies()

    def copies(self):
        return {name: array.copy() for name, array in self.results.items() if self.virial or name != "virial"}

    def counts(self):
        device = self.potential.device
        return device.allocations, device.downloads, device.notices


def expected_of(module, model_file, call):
    """By way of arrays on the host, with a fresh potential."""
    result = EmulatedPotential(module, model_file, LR_CUTOFF).compute(
        call.numbers, call.positions, call.cell if call.periodic else None, virial=True
    )
    values = {"energy": np.array([result.energy]), "forces": result.forces, "charges": result.partial_charges}
    return values | ({"virial": result.virial} if call.virial else {})


def assert_close(got, expected, tolerance=1e-11):
    assert got.keys() == expected.keys()
    for name, values in got.items():
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("system", [random_molecule(1), random_box(2)], ids=["molecule", "box"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_results(module, model_file, system, dtype):
    """The bits that are computed from the host, rounded to the tensors' type; the energy is double in any case."""
    call = Call(module, model_file, system, dtype)
    got, expected = call.compute(), expected_of(module, model_file, call)
    assert got["energy"] == expected["energy"] and abs(got["energy"]) > 0.1
    for name in ("forces", "charges", "virial"):
        assert got[name].tobytes() == expected[name].astype(dtype).tobytes(), name


def test_without_a_virial(module, model_file):
    call = Call(module, model_file, random_molecule(1), virial=False)
    assert_close(call.compute(), expected_of(module, model_file, call), 0)
    assert (call.results["virial"] == 0).all()


@pytest.mark.parametrize("cell_on_gpu", [True, False])
def test_replays(module, model_file, cell_on_gpu):
    """Small moves, moves out of the skin and of the box; with the box on the GPU a barostat's, and a box that shrinks
    around atoms that stay."""
    start = random_box(2)
    call = Call(module, model_file, start, cell_on_gpu=cell_on_gpu)
    call.compute()
    assert call.can_record()
    call.record()
    counts = call.counts()
    rng = np.random.default_rng(1)
    steps = [(0.1, 1), (3, 1), (0.1, 1)] + ([(0.1, 1.05), (0.1, 0.9), (0, None), (0.1, 1)] if cell_on_gpu else [])
    for amount, scale in steps:
        if amount:
            call.positions[:] = scale * start.positions + rng.uniform(-amount, amount, start.positions.shape)
        if scale:
            call.cell[:] = scale * start.cell
        else:
            call.cell[0] *= 0.8
        got = call.replay()
        assert call.counts() == counts  # nothing that needs the host
        assert_close(got, expected_of(module, model_file, call))


def far_and_close():
    """Eighty atoms in a row, and in a heap where each has more neighbors than rows hold."""
    row = np.arange(80)[:, None] * [2.5, 0, 0] + np.random.default_rng(3).uniform(-0.2, 0.2, (80, 3))
    heap = np.stack(np.meshgrid(*[np.arange(5)] * 3), -1).reshape(-1, 3)[:80] * 1.3
    return row, heap + np.random.default_rng(4).uniform(-0.1, 0.1, (80, 3))


def test_lists_that_overflow_in_a_replay(module, model_file):
    """Nothing but NaN from then on: the host may have missed the first; a new recording is right again."""
    row, heap = far_and_close()
    system = random_molecule(1, 80, 30.0)
    system.positions[:] = row
    call = Call(module, model_file, system)
    call.compute()
    call.record()
    # Half as long a row has more neighbors than at the recording, inside the headroom.
    for positions, fits in ((row, True), (0.5 * row, True), (row, True), (heap, False), (row, False)):
        call.positions[:] = positions
        got = call.replay()
        if fits:
            assert_close(got, expected_of(module, model_file, call), 1e-9)
        else:
            assert all(np.isnan(values).all() for values in got.values())
    call.positions[:] = heap
    anew = Call(module, model_file, system)
    anew.positions[:] = heap
    anew.compute()
    anew.record()
    assert_close(anew.replay(), expected_of(module, model_file, call), 1e-9)


def test_headroom_grows_with_the_lists(module, model_file):
    """Recorded after an evaluation with long rows, a graph has room for longer ones."""
    _, heap = far_and_close()
    system = random_molecule(1, 80, 30.0)
    system.positions[:] = 1.6 * heap
    call = Call(module, model_file, system)
    call.compute()
    call.record()
    call.positions[:] = 1.3 * heap
    assert_close(call.replay(), expected_of(module, model_file, call), 1e-9)


BAD = {
    "not a number": lambda call: call.positions.__setitem__((2, 1), np.nan),
    "infinite": lambda call: call.positions.__setitem__((2, 1), np.inf),
    "at one place": lambda call: call.positions.__setitem__(3, call.positions[1] + call.cell[0] - 2 * call.cell[2]),
    "no volume": lambda call: call.cell.__setitem__(2, call.cell[1]),
    "box not a number": lambda call: call.cell.__setitem__((0, 0), np.nan),
    "box of zeros": lambda call: call.cell.__setitem__(slice(None), 0),
    "box too small": lambda call: call.cell.__imul__(0.3),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_compute_refuses_is_not_a_number(module, model_file, bad):
    call = Call(module, model_file, random_box(2))
    call.compute()
    call.record()
    good = [call.positions.copy(), call.cell.copy()]
    assert all(np.isfinite(values).all() for values in call.replay().values())
    BAD[bad](call)
    assert all(np.isnan(values).all() for values in call.replay().values())
    call.positions[:], call.cell[:] = good
    assert all(np.isnan(values).all() for values in call.replay().values())


def test_energy_that_is_not_finite(module, tmp_path):
    model = random_model(hyperparameters(**ODD))
    for parameter in model.parameters():
        parameter.data *= 1e60
    path = tmp_path / "huge.safetensors"
    model.save(path, provenance={"source": "random numbers"})
    call = Call(module, path, random_molecule(1))
    with pytest.raises(ValueError, match="energy of molecule 0 is not a finite number"):
        call.compute()
    assert all(np.isnan(values).all() for values in call.results.values())


def test_what_can_be_recorded(module, model_file):
    """What the last evaluation was of, with other positions; other boxes if these are on the GPU."""
    call = Call(module, model_file, random_box(2))
    assert not call.can_record()
    call.compute()
    call.positions += 0.5
    call.cell *= 1.1
    assert call.can_record()
    assert not call.can_record(call.numbers[::-1].copy())
    assert not call.can_record(call.numbers[:-1].copy())
    fixed = Call(module, model_file, random_box(2), cell_on_gpu=False, virial=False)
    fixed.compute()
    assert fixed.can_record()
    fixed.cell *= 1.1
    assert not fixed.can_record()
    molecule = Call(module, model_file, random_molecule(1))
    molecule.compute()
    assert molecule.can_record()
    molecule.tensors = Call(module, model_file, random_molecule(1), virial=False).tensors
    assert not molecule.can_record()
