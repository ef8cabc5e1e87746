"""The emulation of CUDA: right kernels run right in every order, and mistakes are found."""

import os

import numpy as np
import pytest

INPUT = np.arange(1.0, 257.0)


@pytest.fixture(scope="module")
def module(emulated):
    return emulated("self_test")


@pytest.fixture
def launch(module):
    device = module.Device()

    def run(kernel, mode=0, values=INPUT, outputs=256, blocks=2, threads=128, **others):
        return module.launch(device, kernel, mode, values, outputs, blocks, threads, **others)

    yield run
    assert device.live_allocations == 0


def test_kernels_are_found_in_the_source(module):
    assert set(module.kernels()) == {"so3kReverse", "so3kBlockSum", "so3kWarp", "so3kMistake", "so3kOrder"}


def test_half_precision_is_that_of_numpy(module):
    bits = np.arange(1 << 16, dtype=np.uint16)
    values = bits.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(module.half_value(bits), values)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(module.half_bits(values[finite]), bits[finite])
    rng = np.random.default_rng(0)
    between = (rng.normal(size=100_000) * 2.0 ** rng.integers(-30, 18, 100_000)).astype(np.float32)
    positive = values[:0x7C00]  # in order
    halves = (positive[:-1] + positive[1:]) / 2
    assert (halves.astype(np.float16) != positive[:-1]).any() and (halves.astype(np.float16) != positive[1:]).any()
    for numbers in (between, halves, -halves, np.float32([65519.99, 65520, np.inf, -np.inf])):
        with np.errstate(over="ignore"):
            expected = numbers.astype(np.float16)
        np.testing.assert_array_equal(module.half_bits(numbers), expected.view(np.uint16))
    assert np.isnan(module.half_value(module.half_bits(np.float32(np.nan))))


def test_barriers(launch, thread_order):
    reversed_blocks = INPUT.reshape(2, 128)[:, ::-1].ravel()
    assert (launch("so3kReverse", shared_doubles=128) == reversed_blocks).all()
    assert (launch("so3kBlockSum") == np.repeat(INPUT.reshape(2, 128).sum(1), 128)).all()


def test_warp_operations(launch, thread_order):
    t = np.arange(64)
    lane, base = t % 32, t - t % 32
    out = launch("so3kWarp", outputs=6 * 64, blocks=1, threads=64).reshape(64, 6)
    assert (out[:, 0] == base + 5).all()
    assert (out[:, 1] == (t ^ 3)).all()
    assert (out[:, 2] == np.where(lane < 28, t + 4, t)).all()
    assert (out[:, 3] == np.where(lane >= 4, t - 4, t)).all()
    assert (out[:, 4] == [sum(1 << k for k in range(32) if (b + k) % 3 == 0) for b in base]).all()
    assert (out[:, 5] == 2 + (t >= 32)).all()


def test_a_missing_barrier_shows(launch, thread_order):
    reversed_blocks = INPUT.reshape(2, 128)[:, ::-1].ravel()
    out = launch("so3kReverse", mode=1, shared_doubles=128)
    assert np.isnan(out).any()
    assert (out != reversed_blocks).any()


@pytest.mark.parametrize("mode", [6, 8])
def test_shared_memory_starts_poisoned(launch, mode):
    assert np.isnan(launch("so3kMistake", mode=mode, outputs=32, blocks=3, threads=32, shared_doubles=8)).all()


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (0, r"divergent barrier: .*self_test.cuh:\d+.*self_test.cuh:\d+"),
        (1, r"a thread ended before a barrier: .*thread 7 \(ended\)"),
        (2, "threads wait for one another"),
        (3, "threads wait for one another"),
        (7, "only full warps"),
    ],
)
def test_mistakes_are_named(module, launch, thread_order, mode, message):
    with pytest.raises(module.DeviceError, match=message):
        launch("so3kMistake", mode=mode, outputs=32, blocks=1, threads=32)
    # and the next launch works
    assert (launch("so3kReverse", shared_doubles=128) == INPUT.reshape(2, 128)[:, ::-1].ravel()).all()


def test_wrong_launches_are_refused(module, launch):
    with pytest.raises(module.DeviceError, match="no kernel"):
        launch("so3kNothing")
    with pytest.raises(module.DeviceError, match="threads"):
        launch("so3kReverse", threads=2048)
    with pytest.raises(module.DeviceError, match="host or released memory"):
        launch("so3kReverse", shared_doubles=128, host_pointer=True)
    with pytest.raises(module.DeviceError, match="not whole warps"):
        launch("so3kBlockSum", threads=48)


@pytest.mark.parametrize("order", ["forward", "reverse", "random:1", "random:2"])
def test_orders(launch, monkeypatch, order):
    monkeypatch.setenv("SO3KRATES_EMULATION_ORDER", order)
    ran = launch("so3kOrder", outputs=257)[1:].astype(int)
    assert sorted(ran) == list(range(256))
    assert (order == "forward") == (ran == np.arange(256)).all()
    assert (order == "reverse") == (ran == np.arange(256)[::-1]).all()


def test_unknown_order(module, launch, monkeypatch):
    monkeypatch.setenv("SO3KRATES_EMULATION_ORDER", "sideways")
    with pytest.raises(module.DeviceError, match="sideways"):
        launch("so3kOrder", outputs=257)


def test_right_kernels_under_sanitizers(sanitized):
    sanitized(__file__, "-k", "test_barriers or test_warp_operations or test_mistakes")


@pytest.mark.parametrize(
    ("mode", "shared_doubles", "message"),
    [(4, 8, "heap-buffer-overflow"), (5, 8, "use-after-poison"), (6, 8, None)],
)
def test_sanitizers_find_overruns(sanitized, mode, shared_doubles, message):
    test = f"{__file__}::test_overrun[{mode}-{shared_doubles}]"
    if message is None:
        sanitized(test)
        return
    with pytest.raises(pytest.fail.Exception, match=message) as failure:
        sanitized(test)
    assert "self_test.cuh" in str(failure.value)


@pytest.mark.parametrize(("mode", "shared_doubles"), [(4, 8), (5, 8), (6, 8)])
def test_overrun(launch, mode, shared_doubles, request):
    """Memory mistakes of a kernel; harmless only under the sanitizers: test_sanitizers_find_overruns runs it there."""
    if "SO3KRATES_EMULATION_SANITIZED" in os.environ:
        launch("so3kMistake", mode=mode, outputs=32, blocks=1, threads=32, shared_doubles=shared_doubles)
