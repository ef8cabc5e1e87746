"""Matrix products of atoms' rows, with tensor cores and without, executed on the CPU, against float64."""

import numpy as np
import pytest

# ins, outs, blocks: those of SO3LR's per-atom parts (perceptrons and heads, exchange, projections, Hirshfeld), and some
# with remainders everywhere.
SHAPES = [(128, 128, 1), (132, 132, 1), (32, 32, 4), (128, 64, 1), (64, 64, 1), (22, 22, 6), (7, 41, 3), (1, 3, 2)]
ATOMS = 29  # one block of 24, and some
PER_BLOCK = (8, 16, 24)


def products(module, ins, outs, blocks, seed=0, bias=True, per_block=24):
    """What the kernel says, the exact result, and the sum of absolute values of the products."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(ATOMS, blocks * ins)).astype(np.float32)
    weight = rng.normal(size=(blocks, ins, outs)).astype(np.float32)
    start = rng.normal(size=blocks * outs if bias else 0).astype(np.float32)
    got = module.dense(module.Device(), rows, weight, start, per_block)
    parts = rows.astype(np.float64).reshape(ATOMS, blocks, ins)

    def contract(a, b):
        return np.einsum("abi,bio->abo", a, b.astype(np.float64)).reshape(ATOMS, blocks * outs)

    exact = contract(parts, weight) + (start.astype(np.float64) if bias else 0.0)
    return got, exact, contract(np.abs(parts), np.abs(weight)) + (np.abs(start) if bias else 0.0)


@pytest.mark.parametrize(("ins", "outs", "blocks"), SHAPES)
@pytest.mark.parametrize("tensor_cores", [0, 1])
def test_any_widths(emulated, tensor_cores, ins, outs, blocks):
    """The same bits for every number of atoms per block."""
    results = []
    for per_block in PER_BLOCK:
        got, exact, scale = products(emulated(f"dense_{tensor_cores}"), ins, outs, blocks, per_block=per_block)
        assert (np.abs(got - exact) <= 1e-6 * scale).all()
        results.append(got)
    assert all((got == results[0]).all() for got in results)


def test_split_products_are_nearly_as_good_as_float32(emulated):
    """Root mean square errors, relative to the sum of absolute values; TF32 alone would be a thousand times worse."""
    error = {}
    for tensor_cores in (0, 1):
        got, exact, scale = products(emulated(f"dense_{tensor_cores}"), 128, 128, 1, bias=False)
        error[tensor_cores] = np.sqrt(np.mean(((got - exact) / scale) ** 2))
        print(tensor_cores, error[tensor_cores], ((got - exact) / scale * np.sign(exact)).mean())
    assert error[0] < 6e-8
    assert 0 < error[1] < 6e-8
    assert error[1] != error[0]  # two different ways of computing it


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(emulated, bad):
    """In the atom's row alone, or in the weight's column alone."""
    module = emulated("dense_1")
    rows, weight = np.ones((ATOMS, 32), np.float32), np.ones((1, 32, 32), np.float32)
    spoiled = rows.copy()
    spoiled[3, 17] = bad
    finite = np.isfinite(module.dense(module.Device(), spoiled, weight, np.empty(0), 24))
    assert not finite[3].any()
    assert finite[np.arange(ATOMS) != 3].all()
    spoiled = weight.copy()
    spoiled[0, 5, 9] = bad
    finite = np.isfinite(module.dense(module.Device(), rows, spoiled, np.empty(0), 24))
    assert not finite[:, 9].any()
    assert finite[:, np.arange(32) != 9].all()


def test_same_bits_in_any_thread_order(emulated, monkeypatch):
    results = []
    for order in ("forward", "reverse", "random:1"):
        monkeypatch.setenv("SO3KRATES_EMULATION_ORDER", order)
        results.append(products(emulated("dense_1"), 132, 132, 1)[0])
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()


@pytest.mark.long
def test_sanitized(sanitized):
    sanitized(__file__, "-k", "any_widths")
