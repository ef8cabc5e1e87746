"""The driver layer against a pretended libcuda that records calls, fails on demand and keeps the driver's rules."""

import struct
import threading
from functools import partial

import numpy as np
import pytest
from random_tensors import random_tensors, small_hyperparameters
from stubs import old_driver, self_test_arguments

from openmm_so3krates import _engine, cli
from openmm_so3krates.cuda import DeviceError
from openmm_so3krates.model_file import write_model_file


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    hyper = small_hyperparameters()
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_model_file(path, hyper, random_tensors(hyper), {"source": "a test", "license": "CC0"})
    return _engine.Model.load(str(path))


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """A cache of compiled kernels for each test; nothing kept in memory."""
    monkeypatch.setenv("SO3KRATES_HOME", str(tmp_path / "home"))
    _engine.forget_compiled_kernels()
    return tmp_path / "home" / "kernels"


@pytest.fixture
def device(model, driver, nvrtc):
    driver.set("argument_bytes", 32)
    return _engine.CudaDevice(model, "single")


def run_self_test(device, n=5, factor=2.5):
    """What so3kTest gives for n numbers, and what it should."""
    numbers = np.linspace(-1, 1, n)
    source, target = device.allocate(8 * n), device.allocate(8 * n)
    try:
        device.upload(source, numbers.tobytes())
        device.clear(target, 8 * n)
        device.launch("so3kTest", 2, 64, 0, self_test_arguments(source, target, factor, n))
        return np.frombuffer(device.download(target, 8 * n)), factor * numbers + np.arange(n)
    finally:
        device.release(source)
        device.release(target)


def test_a_kernel_runs(device, driver):
    computed, expected = run_self_test(device)
    np.testing.assert_array_equal(computed, expected)
    assert device.name == "Stub GPU 0, sm_90"
    del device


def test_calls_in_order(model, driver, nvrtc):
    device = _engine.CudaDevice(model, "single")
    assert [call.split()[0] for call in driver.calls] == [
        "cuDriverGetVersion",
        "cuInit",
        "cuDeviceGetCount",
        "cuDeviceGet",
        "cuDevicePrimaryCtxRetain",
        "cuDeviceGetAttribute",
        "cuDeviceGetAttribute",
        "cuDeviceGetAttribute",
        "cuModuleLoadData",
        "cuStreamCreate",
    ]
    assert driver.calls[-2].startswith("cuModuleLoadData cubin --gpu-architecture=sm_90 --std=c++17")
    assert driver.calls[-1] == "cuStreamCreate 1"  # waits for nobody
    assert "streams 1" in driver.leaks and "contexts 1" in driver.leaks
    driver.forget_calls()
    del device
    assert driver.calls == ["cuStreamDestroy_v2", "cuModuleUnload", "cuDevicePrimaryCtxRelease_v2 0"]
    assert driver.leaks == "" and driver.current_context is None


def test_launch_passes_bytes_and_sizes(device, driver):
    arguments = self_test_arguments(0x1122334455667788, 0x99AABBCCDDEEFF00, -0.1, 0)
    driver.forget_calls()
    device.launch("so3kTest", 7, 96, 1000, arguments)
    lookup = ["cuModuleGetFunction so3kTest", "cuFuncGetAttribute"]
    assert driver.calls == [*lookup, f"cuLaunchKernel 7x1x1 96x1x1 1000 {arguments.hex()}"]
    driver.forget_calls()
    device.launch("so3kTest", 1, 1, 0, arguments)
    assert len(driver.calls) == 1  # the function is looked up once
    driver.forget_calls()
    device.launch("so3kTest", 0, 64, 0, arguments)
    assert driver.calls == []


@pytest.mark.parametrize("static", [0, 20 << 10])
def test_much_shared_memory_is_announced_once(device, driver, static):
    """48 KiB, static shared memory counted in, need no announcement."""
    driver.set("static_shared", static)
    arguments = self_test_arguments(0, 0, 0, 0)
    for shared in ((48 << 10) - static, 100 << 10, 60 << 10, 101 << 10):
        device.launch("so3kTest", 1, 32, shared, arguments)
    announced = [call for call in driver.calls if call.startswith("cuFuncSetAttribute")]
    assert announced == [f"cuFuncSetAttribute 8 {100 << 10}", f"cuFuncSetAttribute 8 {101 << 10}"]


def test_unknown_kernel(device):
    with pytest.raises(DeviceError, match="there is no kernel so3kNothing"):
        device.launch("so3kNothing", 1, 32, 0, b"")


# --- contexts and streams


def test_current_context_is_used(model, driver, nvrtc):
    context = driver.make_context(device=1)
    device = _engine.CudaDevice(model, "single")
    driver.set("argument_bytes", 32)
    computed, expected = run_self_test(device)
    np.testing.assert_array_equal(computed, expected)
    assert device.name.startswith("Stub GPU 1")
    del device
    assert not any(call.startswith("cuDevicePrimaryCtx") for call in driver.calls)
    assert "cuCtxPushCurrent_v2" not in driver.all_calls
    assert driver.current_context == context and driver.leaks == ""


@pytest.mark.parametrize(("current", "index", "retains"), [(1, 1, False), (1, 0, True), (None, 1, True)])
def test_context_of_a_device_index(model, driver, nvrtc, current, index, retains):
    context = None if current is None else driver.make_context(current)
    driver.set("argument_bytes", 32)
    device = _engine.CudaDevice(model, "single", index=index)
    assert (f"cuDevicePrimaryCtxRetain {index}" in driver.calls) == retains
    computed, expected = run_self_test(device)
    np.testing.assert_array_equal(computed, expected)
    assert driver.current_context == context
    del device
    assert driver.leaks == "" and driver.current_context == context


@pytest.mark.parametrize("index", [-1, 2])
def test_no_such_device(model, driver, nvrtc, index):
    with pytest.raises(DeviceError, match=f"there is no GPU {index}: 2 visible"):
        _engine.CudaDevice(model, "single", index=index)


def test_one_module_per_context(model, driver, nvrtc):
    first = driver.make_context()
    one = _engine.CudaDevice(model, "single")
    driver.make_context()
    two = _engine.CudaDevice(model, "single")
    assert sum(call.startswith("cuModuleLoadData") for call in driver.calls) == 2
    assert nvrtc.compilations == 1
    assert driver.current_context != first
    driver.set("argument_bytes", 32)
    for device in (one, two):  # each in its own context, whichever is current
        computed, expected = run_self_test(device)
        np.testing.assert_array_equal(computed, expected)


def test_stream_of_the_caller(model, driver, nvrtc):
    driver.make_context()
    stream = driver.make_stream()
    device = _engine.CudaDevice(model, "single", stream=stream)
    assert device.stream == stream
    run_self_test(device)
    del device
    assert not any(call.startswith(("cuStreamCreate", "cuStreamDestroy")) for call in driver.calls)


def test_default_stream_of_the_caller(model, driver, nvrtc):
    driver.make_context()
    driver.set("argument_bytes", 32)
    device = _engine.CudaDevice(model, "single", stream=0)
    computed, expected = run_self_test(device)
    np.testing.assert_array_equal(computed, expected)


def test_graph_for_the_default_stream(model, driver, nvrtc):
    """It cannot be recorded itself: another stream is, and the default one replays."""
    driver.make_context()
    driver.set("argument_bytes", 32)
    device = _engine.CudaDevice(model, "single", stream=0)
    source, target = device.allocate(24), device.allocate(24)
    device.upload(source, np.array([1.0, 2.0, 3.0]).tobytes())
    driver.forget_calls()
    arguments = self_test_arguments(source, target, 2.0, 3)
    graph = device.record(partial(device.launch, "so3kTest", 1, 32, 0, arguments))
    assert [driver.calls[0], driver.calls[-1]] == ["cuStreamCreate 1", "cuStreamDestroy_v2"]  # non-blocking
    assert device.stream == 0
    device.replay(graph)
    np.testing.assert_array_equal(np.frombuffer(device.download(target, 24)), [2, 5, 8])
    with pytest.raises(KeyError):
        device.record(lambda: {}["nothing"])
    assert device.stream == 0
    run_self_test(device)
    device.release(source)
    device.release(target)
    del graph
    assert "stream" not in driver.leaks and "graph" not in driver.leaks


def test_another_thread(device):
    """The thread that computes need not be the one that opened."""
    results = []
    thread = threading.Thread(target=lambda: results.append(run_self_test(device)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(*results[0])


def test_work_of_somebody_else_is_waited_for_on_the_gpu(model, driver, nvrtc):
    """An event on their stream, which ours waits for; made once."""
    driver.make_context()
    stream = driver.make_stream()
    device = _engine.CudaDevice(model, "single")
    driver.forget_calls()
    device.follow(stream)
    assert driver.calls == ["cuEventCreate 2", "cuEventRecordWithFlags 0 theirs", "cuStreamWaitEvent ours"]
    driver.forget_calls()
    device.follow(stream)
    assert driver.calls == ["cuEventRecordWithFlags 0 theirs", "cuStreamWaitEvent ours"]
    driver.forget_calls()
    device.follow(device.stream)
    assert driver.calls == []
    del device
    assert driver.leaks == ""


def test_addresses_of_somebody_else(model, driver, nvrtc):
    device, other = _engine.CudaDevice(model, "single", index=1), _engine.CudaDevice(model, "single", index=0)
    mine, theirs = device.allocate(16), other.allocate(16)
    device.check_address(mine, "positions")
    with pytest.raises(DeviceError, match=r'array on GPU 0, and this is a potential on GPU 1: .*"cuda:0"'):
        device.check_address(theirs, "positions")
    with pytest.raises(DeviceError, match="positions is not an array in CUDA's memory"):
        device.check_address(16, "positions")
    device.release(mine)
    other.release(theirs)


# --- graphs


def test_graph_is_recorded_and_replayed(device, driver):
    numbers = np.array([1.0, 2.0, 3.0])
    source, target = device.allocate(24), device.allocate(24)
    device.upload(source, numbers.tobytes())
    device.clear(target, 24)
    arguments = self_test_arguments(source, target, 2.0, 3)
    driver.forget_calls()
    graph = device.record(lambda: (device.clear(target, 24), device.launch("so3kTest", 1, 32, 0, arguments)))
    assert [call.split()[0] for call in driver.calls] == [
        "cuStreamBeginCapture_v2",
        "cuMemsetD8Async",
        "cuModuleGetFunction",
        "cuFuncGetAttribute",
        "cuLaunchKernel",
        "cuStreamEndCapture",
        "cuGraphInstantiateWithFlags",
        "cuGraphDestroy",
    ]
    assert driver.calls[0] == "cuStreamBeginCapture_v2 1"  # other threads may allocate meanwhile
    np.testing.assert_array_equal(np.frombuffer(device.download(target, 24)), 0)  # nothing ran
    device.replay(graph)
    np.testing.assert_array_equal(np.frombuffer(device.download(target, 24)), [2, 5, 8])
    device.upload(source, (numbers + 1).tobytes())
    driver.forget_calls()
    device.replay(graph)
    assert driver.calls == ["cuGraphLaunch"]
    np.testing.assert_array_equal(np.frombuffer(device.download(target, 24)), [4, 7, 10])
    device.release(source)
    device.release(target)
    del graph
    assert "graph" not in driver.leaks


def test_exception_while_recording(device, driver):
    def work():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        device.record(work)
    assert "graph" not in driver.leaks
    computed, expected = run_self_test(device)  # the stream is usable again
    np.testing.assert_array_equal(computed, expected)


def test_notice(device, driver):
    """The host waits for an event behind the copy, which the stream waits for from join() on; also in a graph."""
    source = device.allocate(24)
    notice = device.notice(16)
    device.upload(source, b"first numbers...")
    driver.forget_calls()
    notice.post(source)
    fork = ["cuEventRecordWithFlags 0", "cuStreamWaitEvent ours", "cuMemcpyDtoHAsync_v2 16"]
    assert driver.calls == [*fork, "cuEventRecordWithFlags 0", "cuEventRecordWithFlags 0"]
    assert notice.wait(16) == b"first numbers..."
    driver.forget_calls()
    notice.join()
    notice.join()
    assert driver.calls == ["cuStreamWaitEvent ours"]

    def work(notice=notice):
        notice.post(source)
        device.clear(source + 16, 8)
        notice.join()

    driver.forget_calls()
    graph = device.record(work)
    assert driver.calls[1:5] == [*fork, "cuEventRecordWithFlags 1"]
    for text in (b"second numbers..", b"third numbers..."):
        device.upload(source, text)
        device.replay(graph)
        assert notice.wait(16) == text
        assert device.download(source, 24) == text + bytes(8)
    device.release(source)
    del graph, work, notice
    assert "host memory" not in driver.leaks and "events" not in driver.leaks


def test_notice_that_nobody_joins(device, driver):
    """A recording that ends in branches is none. Nor is a wait for an event of another's; the stream works on."""
    source = device.allocate(8)
    notice = device.notice(8)
    device.upload(source, b"numbers.")
    with pytest.raises(DeviceError, match="904"):
        device.record(partial(notice.post, source))
    with pytest.raises(DeviceError, match="907"):
        device.record(notice.join)
    notice.join()  # of what came to nothing
    notice.post(source)
    notice.join()
    assert notice.wait(8) == b"numbers."
    device.release(source)
    assert "graph" not in driver.leaks


@pytest.mark.parametrize("what", ["allocate", "synchronize", "upload", "notice", "wait"])
def test_what_cannot_be_recorded(device, driver, what):
    target = device.allocate(8)
    notice = device.notice(8)
    notice.post(target)
    notice.join()
    work = {
        "allocate": lambda: device.allocate(8),
        "synchronize": device.synchronize,
        "upload": lambda: device.upload(target, struct.pack("d", 1.0)),
        "notice": lambda: device.notice(8),
        "wait": lambda: notice.wait(8),
    }[what]
    with pytest.raises(DeviceError, match=r"CAPTURE_UNSUPPORTED|cannot hold"):
        device.record(work)
    assert "graph" not in driver.leaks
    device.upload(target, struct.pack("d", 1.0))
    device.release(target)


# --- errors


def whole_session(model):
    """Everything the layer can do; returns what the kernel computed."""
    device = _engine.CudaDevice(model, "single", index=0)
    address = device.allocate(80)
    try:
        device.upload(address, np.arange(5.0).tobytes())
        device.clear(address + 40, 40)
        arguments = self_test_arguments(address, address + 40, 3.0, 5)
        device.launch("so3kTest", 1, 64, 60 << 10, arguments)
        graph = device.record(lambda: device.launch("so3kTest", 1, 64, 0, arguments))
        device.replay(graph)
        device.synchronize()
        notice = device.notice(8)
        notice.post(address)
        notice.join()
        assert notice.wait(8) == bytes(8)
        device.follow(0)
        device.check_address(address, "memory")
        device.copy(address, address + 8, 8)
        assert device.download(address, 8) == np.float64(1.0).tobytes()
        assert device.name
        return np.frombuffer(device.download(address + 40, 40))
    finally:
        device.release(address)


# Symbols of the driver that the layer calls in a session; what is called to clean up may fail without a word.
LOUD = [
    "cuDriverGetVersion",
    "cuInit",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuCtxGetCurrent",
    "cuDevicePrimaryCtxRetain",
    "cuDeviceGetAttribute",
    "cuCtxPushCurrent_v2",
    "cuModuleLoadData",
    "cuStreamCreate",
    "cuMemAlloc_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemsetD8Async",
    "cuModuleGetFunction",
    "cuFuncGetAttribute",
    "cuFuncSetAttribute",
    "cuLaunchKernel",
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuStreamSynchronize",
    "cuDeviceGetName",
    "cuMemcpyDtoHAsync_v2",
    "cuMemAllocHost_v2",
    "cuEventCreate",
    "cuEventRecordWithFlags",
    "cuEventSynchronize",
    "cuStreamWaitEvent",
    "cuMemcpyDtoDAsync_v2",
]
QUIET = [
    "cuCtxPopCurrent_v2",
    "cuModuleUnload",
    "cuStreamDestroy_v2",
    "cuMemFree_v2",
    "cuDevicePrimaryCtxRelease_v2",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuEventDestroy_v2",
    "cuMemFreeHost",
]


def test_the_session_calls_all(model, driver, nvrtc):
    driver.set("argument_bytes", 32)
    np.testing.assert_array_equal(whole_session(model), 3.0 * np.arange(5) + np.arange(5))
    assert {call.split()[0] for call in driver.all_calls} == {*LOUD, *QUIET, "cuPointerGetAttribute"}
    assert driver.leaks == ""


@pytest.mark.parametrize("symbol", LOUD)
def test_every_failure_is_told_and_leaves_nothing(model, driver, nvrtc, symbol):
    driver.set("argument_bytes", 32)
    driver.fail(symbol, 999)
    with pytest.raises(DeviceError, match="CUDA_ERROR_UNKNOWN") as caught:
        whole_session(model)
    message = str(caught.value)
    del caught  # it keeps the device alive
    call = symbol.replace("_v2", "").replace("WithFlags", "")
    assert message.startswith(call) and "reboot" in message
    if symbol not in ("cuCtxGetCurrent", "cuCtxPushCurrent_v2"):  # without them nothing can be given back
        assert driver.leaks == ""
    driver.work_again()
    np.testing.assert_array_equal(whole_session(model), 3.0 * np.arange(5) + np.arange(5))


@pytest.mark.parametrize("symbol", QUIET)
def test_failing_to_clean_up_is_no_error(model, driver, nvrtc, symbol):
    driver.set("argument_bytes", 32)
    driver.fail(symbol, 4)  # CUDA_ERROR_DEINITIALIZED, as at the end of a process
    np.testing.assert_array_equal(whole_session(model), 3.0 * np.arange(5) + np.arange(5))


def test_out_of_memory(device, driver):
    driver.set("free_bytes", 3 << 20)
    with pytest.raises(DeviceError, match=r"out of GPU memory: 4194304 bytes were asked for, 3 MiB of 24576 MiB are"):
        device.allocate(4 << 20)
    device.release(device.allocate(1 << 20))
    device.release(device.allocate(0))
    del device


def test_fault_in_a_kernel(device, driver):
    driver.fail("cuStreamSynchronize", 700)
    with pytest.raises(
        DeviceError, match=r"CUDA_ERROR_ILLEGAL_ADDRESS \(an illegal memory access was encountered\).*compute-sanitizer"
    ):
        device.synchronize()


def test_error_without_name(device, driver):
    driver.fail("cuStreamSynchronize", 12345)
    with pytest.raises(DeviceError, match="cuStreamSynchronize failed: error 12345"):
        device.synchronize()


def test_no_driver(model, nvrtc, monkeypatch):
    monkeypatch.setenv("SO3KRATES_LIBCUDA", "libno-such-driver.so.1")
    with pytest.raises(
        DeviceError, match=r"no NVIDIA driver: libno-such-driver.*Install NVIDIA's driver, 525 or newer"
    ):
        _engine.CudaDevice(model, "single")


def test_no_gpu(model, driver, nvrtc):
    driver.set("devices", 0)
    with pytest.raises(DeviceError, match=r"CUDA_ERROR_NO_DEVICE: no GPU is visible.*CUDA_VISIBLE_DEVICES"):
        _engine.CudaDevice(model, "single")


def test_stub_of_the_toolkit(model, driver, nvrtc):
    driver.fail("cuInit", 34)
    with pytest.raises(DeviceError, match=r"CUDA_ERROR_STUB_LIBRARY: .*the toolkit's stub, not a driver"):
        _engine.CudaDevice(model, "single")


def test_old_driver(model, driver, nvrtc):
    driver.set("version", 11080)
    with pytest.raises(DeviceError, match=r"too old: it supports CUDA 11.8, and 12.0 is needed. Install driver 525"):
        _engine.CudaDevice(model, "single")


def test_driver_without_a_function(model, nvrtc, stub_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SO3KRATES_LIBCUDA", str(old_driver(stub_folder, tmp_path / "libcuda-old.so")))
    with pytest.raises(DeviceError, match="has no function cuGraphExecDestroy: NVIDIA's driver is too old"):
        _engine.CudaDevice(model, "single")


def test_old_gpu(model, driver, nvrtc):
    driver.set("capability", 61)
    with pytest.raises(DeviceError, match=r"Stub GPU 0 has compute capability 6.1; 7.0 or newer is needed"):
        _engine.CudaDevice(model, "single")
    assert driver.leaks == ""


# --- what people see


def test_cuda_info(driver, nvrtc):
    nvrtc.set("minor", 1)
    info = _engine.cuda_info()
    assert info["driver"] == {"found": True, "version": "13.0", "path": str(driver.path), "problem": None}
    gpus = [{"name": f"Stub GPU {i}", "compute_capability": "9.0", "memory_bytes": 24 << 30} for i in (0, 1)]
    assert info["devices"] == gpus
    assert info["nvrtc"] == {"found": True, "version": "13.1", "path": str(nvrtc.path), "problem": None}


def test_cuda_info_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("SO3KRATES_LIBCUDA", "libno-such-driver.so.1")
    monkeypatch.setenv("SO3KRATES_NVRTC", str(tmp_path))
    info = _engine.cuda_info()
    assert not info["driver"]["found"] and "Install NVIDIA's driver" in info["driver"]["problem"]
    assert not info["nvrtc"]["found"] and "pip install nvidia-cuda-nvrtc" in info["nvrtc"]["problem"]
    assert info["devices"] == []


def test_info_command(driver, nvrtc, capsys):
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    assert "CUDA driver              for CUDA 13.0\n" in out
    assert "GPU 1                    Stub GPU 1, compute capability 9.0, 24 GiB\n" in out
    assert f"NVRTC                    13.0 ({nvrtc.path})\n" in out


def test_info_command_without_cuda(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SO3KRATES_LIBCUDA", "libno-such-driver.so.1")
    monkeypatch.setenv("SO3KRATES_NVRTC", str(tmp_path))
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    assert "CUDA driver              no NVIDIA driver" in out and "NVRTC                    NVRTC, NVIDIA's" in out
