"""On a GPU: the driver layer, and the backend against the CPU engine and the ground truth. scripts/gpu_check.sh.

Deselected by default (pyproject.toml); `pytest -m gpu` runs them.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cases import load_case
from random_tensors import random_tensors, small_hyperparameters
from stubs import ROOT, self_test_arguments

from openmm_so3krates import Potential, _engine, ops
from openmm_so3krates.cuda import DeviceError
from openmm_so3krates.model_file import write_model_file

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    hyper = small_hyperparameters()
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_model_file(path, hyper, random_tensors(hyper), {"source": "a test", "license": "CC0"})
    return path


@pytest.fixture(scope="module")
def device(small_model):
    return _engine.CudaDevice(_engine.Model.load(str(small_model)), "single")


class SelfTest:
    """Device memory for so3kTest, and what it should compute."""

    def __init__(self, device, n=1000):
        self.device, self.n = device, n
        self.numbers = np.random.default_rng(1).normal(size=n)
        self.source, self.target = device.allocate(8 * n), device.allocate(8 * n)
        device.upload(self.source, self.numbers.tobytes())
        device.clear(self.target, 8 * n)

    def launch(self):
        arguments = self_test_arguments(self.source, self.target, 2.0, self.n)
        self.device.launch("so3kTest", -(-self.n // 128), 128, 0, arguments)

    @property
    def computed(self):
        return np.frombuffer(self.device.download(self.target, 8 * self.n))

    @property
    def expected(self):
        return 2.0 * self.numbers + np.arange(self.n)  # exact: fused or not, 2x is not rounded

    def __del__(self):
        self.device.release(self.source)
        self.device.release(self.target)


def test_kernel_runs(device):
    test = SelfTest(device)
    np.testing.assert_array_equal(test.computed, 0.0)
    test.launch()
    np.testing.assert_array_equal(test.computed, test.expected)


def test_graph_replays(device):
    test = SelfTest(device)
    graph = device.record(lambda: (device.clear(test.target, 8 * test.n), test.launch()))
    np.testing.assert_array_equal(test.computed, 0.0)  # recorded, not run
    device.replay(graph)
    np.testing.assert_array_equal(test.computed, test.expected)
    test.numbers = test.numbers + 1.0
    device.upload(test.source, test.numbers.tobytes())
    device.replay(graph)
    np.testing.assert_array_equal(test.computed, test.expected)


def test_stream_is_usable_after_a_failed_recording(device):
    with pytest.raises(DeviceError):
        device.record(lambda: device.allocate(8))
    with pytest.raises(KeyError):
        device.record(lambda: {}["nothing"])
    test = SelfTest(device)
    test.launch()
    np.testing.assert_array_equal(test.computed, test.expected)


def test_cache_on_disk(small_model, tmp_path, monkeypatch):
    monkeypatch.setenv("SO3KRATES_HOME", str(tmp_path))
    model = _engine.Model.load(str(small_model))
    _engine.forget_compiled_kernels()
    assert _engine.CudaDevice(model, "single").kernels_from == "compiler"
    _engine.forget_compiled_kernels()
    device = _engine.CudaDevice(model, "single")
    assert device.kernels_from == "disk"
    test = SelfTest(device)
    test.launch()
    np.testing.assert_array_equal(test.computed, test.expected)


def test_errors_have_names(device):
    with pytest.raises(
        DeviceError, match=r"cuLaunchKernel\(so3kTest, 1 blocks of 4096 threads.*CUDA_ERROR_INVALID_VALUE"
    ):
        device.launch("so3kTest", 1, 4096, 0, self_test_arguments(0, 0, 0.0, 0))
    with pytest.raises(DeviceError, match="there is no kernel so3kNothing"):
        device.launch("so3kNothing", 1, 32, 0, b"")
    with pytest.raises(DeviceError, match="out of GPU memory"):
        device.allocate(1 << 50)
    with pytest.raises(DeviceError, match="there is no GPU 4711"):
        Potential("so3lr", device="cuda:4711")


def test_info():
    info = _engine.cuda_info()
    assert info["driver"]["found"] and info["nvrtc"]["found"] and info["devices"]


def test_beside_torch(small_model):
    """In torch's context and on its stream, in order with its work; what is current stays current."""
    torch = pytest.importorskip("torch")
    numbers = torch.arange(100, dtype=torch.float64, device="cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        model = _engine.Model.load(str(small_model))
        device = _engine.CudaDevice(model, "single", stream=stream.cuda_stream)
        doubled = numbers * 2.0
        result = torch.empty_like(doubled)
        device.launch("so3kTest", 1, 128, 0, self_test_arguments(doubled.data_ptr(), result.data_ptr(), 3.0, 100))
        tripled = result + 1.0
    torch.cuda.current_stream().wait_stream(stream)
    np.testing.assert_array_equal(tripled.cpu().numpy(), 7.0 * np.arange(100) + 1.0)


def test_driver_interface_as_in_cuda_h():
    """kernels/cuda/driver/cuda_api.h against the toolkit's cuda.h."""
    include = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "include"
    if not (include / "cuda.h").exists():
        pytest.skip(f"no cuda.h in {include}")
    source = ROOT / "tests" / "cuda" / "check_cuda_api.cpp"
    command = ["g++", "-std=c++17", "-fsyntax-only", f"-I{include}", f"-I{ROOT / 'kernels'}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- the backend


def largest(values, expected):
    return np.abs(np.asarray(values) - np.asarray(expected)).max()


@pytest.fixture(scope="module")
def water():
    return load_case("water_8_smallcell")


@pytest.mark.parametrize("precision", ["double", "single"])
def test_random_model_as_on_the_cpu(small_model, water, precision):
    """An odd shape with every term; the CPU engine in double precision is the reference."""
    options = {"lr_cutoff": 5.0}
    exact = Potential(small_model, precision="double", threads=2, **options)
    on_gpu = Potential(small_model, device="cuda", precision=precision, **options)
    arguments = (water.atomic_numbers, water.positions)
    expected = exact.compute(*arguments, cell=water.cell, virial=True)
    result = on_gpu.compute(*arguments, cell=water.cell, virial=True)
    relative = 1e-9 if precision == "double" else 1e-4
    assert largest(result.forces, expected.forces) < relative * max(1.0, np.abs(expected.forces).max())
    assert largest(result.virial, expected.virial) < relative * max(1.0, np.abs(expected.virial).max())
    assert abs(result.energy - expected.energy) < relative * max(1.0, abs(expected.energy))
    assert largest(result.partial_charges, expected.partial_charges) < relative


SO3LR_CASES = [
    "water",
    "ethanol",
    "acetate",
    "ac_ala3_nhme",
    "water_8_smallcell",
    "water_64_triclinic_lr6",
    "water_512",
]


@pytest.mark.parametrize("name", SO3LR_CASES)
def test_so3lr_double(so3lr, name):
    """Against the original JAX code in float64."""
    case = load_case(name)
    potential = Potential(
        so3lr,
        device="cuda",
        precision="double",
        lr_cutoff=case.lr_cutoff,
        dispersion_switch_width=case.dispersion_switch_width,
    )
    result = potential.compute(case.atomic_numbers, case.positions, **case.system)
    assert largest(result.forces, case.double.forces) < 1e-8
    assert abs(result.energy - case.double.energy) < 1e-8 * case.num_atoms


@pytest.mark.parametrize("name", SO3LR_CASES)
def test_so3lr_single(so3lr, name):
    """At most twice the error of the original's own float32 run; and the same bits twice."""
    case = load_case(name)
    potential = Potential(
        so3lr, device="cuda", lr_cutoff=case.lr_cutoff, dispersion_switch_width=case.dispersion_switch_width
    )
    first = potential.compute(case.atomic_numbers, case.positions, **case.system)
    second = potential.compute(case.atomic_numbers, case.positions, **case.system)
    exact, single = case.double, case.single
    assert largest(first.forces, exact.forces) <= 2 * largest(single.forces, exact.forces) + 2e-5
    assert abs(first.energy - exact.energy) <= 2 * abs(single.energy - exact.energy) + 1e-6 * case.num_atoms
    np.testing.assert_array_equal(first.forces, second.forces)
    assert first.energy == second.energy


def test_tensor_cores_change_the_rounding_alone(so3lr, monkeypatch):
    """Both ways of multiplying matrices (device/dense.cuh); on GPUs before compute capability 8.0 there is one."""
    case = load_case("water_64_triclinic_lr6")
    forces = []
    for wanted in ("1", "0"):
        monkeypatch.setenv("SO3KRATES_TENSOR_CORES", wanted)
        potential = Potential(so3lr, device="cuda", lr_cutoff=case.lr_cutoff)
        forces.append(potential.compute(case.atomic_numbers, case.positions, **case.system).forces)
    assert largest(*forces) < 2e-5


# --- arrays that stay on the GPU


def torch_on_gpu():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    return torch


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_torch_tensors(so3lr, dtype):
    """Read on torch's current stream, after work that takes a while; results are tensors on the same GPU."""
    torch = torch_on_gpu()
    case = load_case("water_8_smallcell")
    potential = Potential(so3lr, device="cuda", lr_cutoff=case.lr_cutoff)
    exact = torch.tensor(case.positions, dtype=getattr(torch, dtype))
    expected = potential.compute(case.atomic_numbers, exact.double().numpy(), **case.system, virial=True)
    on_gpu, stream = exact.cuda(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        positions = on_gpu.T.contiguous().T.requires_grad_()  # columns, and as in a training loop
        with torch.no_grad():
            positions *= 2.0
            torch.cuda._sleep(50_000_000)  # whoever does not wait for the stream reads a larger molecule
            positions.copy_(on_gpu)
        result = potential.compute(case.atomic_numbers, positions, **case.system, virial=True)
    for name in ("forces", "partial_charges", "hirshfeld_ratios"):
        tensor = getattr(result, name)
        assert tensor.device == positions.device and tensor.dtype == torch.float64
        np.testing.assert_array_equal(tensor.cpu().numpy(), getattr(expected, name))
    assert result.energy == expected.energy
    np.testing.assert_array_equal(result.virial, expected.virial)


def test_cupy_arrays(so3lr):
    cupy = pytest.importorskip("cupy")
    case = load_case("water_8_smallcell")
    potential = Potential(so3lr, device="cuda", lr_cutoff=case.lr_cutoff)
    expected = potential.compute(case.atomic_numbers, case.positions, **case.system)
    with cupy.cuda.Stream(non_blocking=True):
        positions = cupy.asarray(np.repeat(case.positions, 2, axis=0))[::2]
        result = potential.compute(case.atomic_numbers, positions, **case.system)
    assert isinstance(result.forces, cupy.ndarray)
    np.testing.assert_array_equal(result.forces.get(), expected.forces)
    np.testing.assert_array_equal(result.partial_charges.get(), expected.partial_charges)


def test_tensors_on_another_gpu(so3lr):
    torch = torch_on_gpu()
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    potential = Potential(so3lr, device="cuda:0")
    with pytest.raises(DeviceError, match=r'array on GPU 1.*device="cuda:1"'):
        potential.compute([8, 1, 1], torch.eye(3, device="cuda:1"))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_attention_of_a_layer(so3lr, dtype):
    """torch tensors, values and gradients against the CPU engine in float64."""
    torch = torch_on_gpu()
    model, case = _engine.Model.load(str(so3lr)), load_case("water_8_smallcell")
    generator = torch.Generator().manual_seed(1)
    widths = dict.fromkeys(("query_x", "key_x", "value_x", "query_ev", "key_ev", "features_gradient"), 128)
    rows = {
        name: torch.randn(len(case.positions), width, generator=generator, dtype=torch.float64)
        for name, width in {**widths, "ev": 24, "ev_gradient": 24}.items()
    }
    expected = ops.euclidean_attention(model, 1, case.positions, **rows, cell=case.cell)
    given = {name: row.to("cuda", getattr(torch, dtype)) for name, row in rows.items()}
    result = ops.euclidean_attention(model, 1, torch.tensor(case.positions, device="cuda"), **given, cell=case.cell)
    tolerance = 1e-11 if dtype == "float64" else 1e-5
    pairs = {"features": (result.features, expected.features), "ev": (result.ev, expected.ev)}
    for name in ("query_x", "key_x", "value_x", "query_ev", "key_ev", "ev", "positions"):
        pairs[f"gradient of {name}"] = getattr(result.gradients, name), getattr(expected.gradients, name)
    for name, (tensor, values) in pairs.items():
        assert largest(tensor.cpu().numpy(), values) < tolerance * np.abs(values).max(), name
    assert result.gradients.strain is None


def test_neighbor_list_of_torch_tensors():
    torch = torch_on_gpu()
    case = load_case("water_64_triclinic_lr6")
    positions = torch.tensor(case.positions, device="cuda")
    found = ops.neighbor_list(positions, 5.0, case.cell)
    for tensor, values in zip(found, ops.neighbor_list(case.positions, 5.0, case.cell), strict=True):
        assert tensor.device == positions.device and tensor.dtype == torch.int32
        np.testing.assert_array_equal(tensor.cpu().numpy(), values)


def test_notice_of_a_replayed_graph(device):
    """The host waits for the event inside the graph, not for what happened to be there."""
    source = device.allocate(8)
    notice = device.notice(8)

    def work():
        notice.post(source)
        notice.join()

    graph = device.record(work)
    for number in range(100):
        text = f"{number:08d}".encode()
        device.upload(source, text)
        device.replay(graph)
        assert notice.wait(8) == text
    device.release(source)
