"""The torch operators on a pretended GPU; test_torch_operators.py runs it in a process of its own, which has no torch.

Arguments: the pretended driver, libtorch_cpu.so and libtorch_cuda.so, a model file, an archive of systems. Prints JSON.
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np

from openmm_so3krates import Potential, _engine

driver_path, cpu_path, cuda_path, model_file, systems_file = sys.argv[1:]
driver = ctypes.CDLL(driver_path)
driver.stub_first_error.restype = ctypes.c_char_p
torch = ctypes.CDLL(cpu_path, ctypes.RTLD_GLOBAL)
torch_cuda = ctypes.CDLL(cuda_path, ctypes.RTLD_GLOBAL)
torch.stub_tensor.restype = torch.stub_data.restype = ctypes.c_void_p
torch.stub_error.restype = ctypes.c_char_p
ctypes.CDLL(str(Path(_engine.__file__).with_name("libso3krates_torch.so")))

CODES = {np.uint8: 0, np.int64: 4, np.float32: 6, np.float64: 7}
LR_CUTOFF = 5.0
model = _engine.Model.load(model_file)
systems = np.load(systems_file)
reference = Potential(model, precision="double", lr_cutoff=LR_CUTOFF, threads=1)


def call(name, *arguments):
    code = getattr(driver, name)(*arguments)
    assert code == 0, (name, code, driver.stub_first_error())


def handle(name, *arguments) -> ctypes.c_void_p:
    made = ctypes.c_void_p()
    call(name, ctypes.byref(made), *arguments)
    return made


context = handle("cuCtxCreate_v2", 0, 0)
pool = handle("cuMemAlloc_v2", ctypes.c_size_t(1 << 24))
torch.stub_set_pool(pool, ctypes.c_size_t(1 << 24))
stream = handle("cuStreamCreate", 1)


class Tensor:
    """A tensor and a view of its values. on_gpu: 1 plus the GPU's number; 0: on the CPU."""

    def __init__(self, values, dtype, on_gpu):
        values = np.asarray(values, dtype)
        sizes = (ctypes.c_int64 * values.ndim)(*values.shape)
        self.handle = torch.stub_tensor(ctypes.c_int64(values.ndim), sizes, CODES[dtype], int(on_gpu))
        self.values = view(self.handle, values.shape, dtype)
        self.values[...] = values


def view(tensor, shape, dtype):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = (ctypes.c_char * size).from_address(torch.stub_data(ctypes.c_void_p(tensor)))
    return np.frombuffer(memory, dtype).reshape(shape)


def description(**changes) -> Tensor:
    settings = {
        "model": model_file,
        "sha256": model.sha256,
        "precision": "double",
        "lr_cutoff": LR_CUTOFF,
        "dispersion_switch_width": None,
        "threads": 0,
        "radial_table": True,
        "allow_untrained_elements": False,
    }
    return Tensor(np.frombuffer(json.dumps(settings | changes).encode(), np.uint8), np.uint8, False)


class Operator:
    """The operator's arguments for one system, which stay where they are."""

    def __init__(self, name, dtype=np.float64, cell_on_gpu=True, numbers_on_gpu=False, **changes):
        self.dtype, self.numbers = dtype, systems[f"{name}_numbers"]
        self.positions = Tensor(systems[f"{name}_positions"], dtype, True)
        self.atomic_numbers = Tensor(self.numbers, np.int64, numbers_on_gpu)
        self.cell = Tensor(systems["box_cell"], dtype, cell_on_gpu) if name == "box" else None
        self.model = description(**changes)

    def __call__(self):
        """Views of the results."""
        handles = (ctypes.c_void_p * 4)()
        cell = ctypes.c_void_p(None if self.cell is None else self.cell.handle)
        arguments = (ctypes.c_void_p(self.positions.handle), ctypes.c_void_p(self.atomic_numbers.handle), cell)
        rest = (ctypes.c_double(0), ctypes.c_void_p(self.model.handle), 1, handles)
        if torch.stub_evaluate(*arguments, *rest):
            raise RuntimeError(torch.stub_error().decode())
        n = len(self.numbers)
        assert torch.stub_dtype(ctypes.c_void_p(handles[1])) == CODES[self.dtype]
        results = [view(handles[0], (1,), np.float64)]
        return results + [view(handles[k], shape, self.dtype) for k, shape in ((1, (n, 3)), (2, (n,)), (3, (3, 3)))]

    def error(self, results) -> float:
        """The largest, against the engine on the CPU at the present positions and box."""
        cell = None if self.cell is None else self.cell.values
        expected = reference.compute(self.numbers, self.positions.values, cell, virial=True)
        wanted = (expected.energy, expected.forces, expected.partial_charges, expected.virial)
        return max(float(np.abs(a - b).max()) for a, b in zip(results, wanted, strict=True))


class Graph:
    """What a function puts on the stream while it is captured."""

    def __init__(self, work):
        torch_cuda.stub_set_stream(stream)
        call("cuStreamBeginCapture_v2", stream, 1)
        copies = torch.stub_copies()
        try:
            self.results = work()
        finally:
            assert torch.stub_copies() == copies  # torch would have to wait for them
            graph = handle_of_end()
            torch_cuda.stub_set_stream(None)
        self.graph = graph
        self.executable = handle("cuGraphInstantiateWithFlags", graph, ctypes.c_ulonglong(0))

    def replay(self):
        call("cuGraphLaunch", self.executable, None)
        return self.results

    def destroy(self):
        call("cuGraphDestroy", self.graph)
        call("cuGraphExecDestroy", self.executable)


def handle_of_end() -> ctypes.c_void_p:
    graph = ctypes.c_void_p()
    call("cuStreamEndCapture", stream, ctypes.byref(graph))
    return graph


def refused(operator) -> str:
    try:
        graph = Graph(operator)
    except RuntimeError as error:
        return str(error)
    graph.destroy()
    return ""


def moved(operator, seed):
    shape = operator.positions.values.shape
    operator.positions.values[...] += np.random.default_rng(seed).uniform(-0.1, 0.1, shape)


out = {"errors": {}, "refused": {}}
molecule, box = Operator("molecule"), Operator("box")
out["refused"]["first call"] = refused(box)
for name, operator in {
    "molecule": molecule,
    "box": box,
    "box on the CPU": Operator("box", cell_on_gpu=False),
    "single": Operator("box", np.float32),
}.items():
    out["errors"][name] = operator.error(operator())
molecule()
out["refused"]["another system before"] = refused(box)
box()
whole = Operator("box")
whole.cell = Tensor(np.eye(3) * 9, np.int64, True)
out["refused"]["whole numbers in the cell"] = refused(whole)
out["refused"]["numbers on the GPU"] = refused(Operator("box", numbers_on_gpu=True))

# A graph with two calls, and one of another system; then calls that need more memory than there was.
box()
first = Graph(lambda: (box(), box()))
blocks_with_one = driver.stub_memory_blocks()
out["refused"]["a second graph without a call"] = refused(box)
molecule()
second = Graph(molecule)
large = Operator("large")
out["errors"]["larger"] = large.error(large())
for step in range(3):
    for operator, graph in ((box, first), (molecule, second)):
        moved(operator, step)
        if step == 2 and operator is box:  # as by a barostat
            box.positions.values[...] *= 1.03
            box.cell.values[...] *= 1.03
        graph.replay()
    out["errors"][f"replay {step}"] = max(box.error(first.results[0]), molecule.error(second.results))
    assert all((a == b).all() for a, b in zip(*first.results, strict=True))
out["errors"]["between"] = large.error(large())
for k in range(9):  # more potentials than are kept
    other = Operator("molecule", lr_cutoff=LR_CUTOFF + 0.1 * k)
    other()
first.replay()
out["errors"]["forgotten"] = box.error(first.results[0])
good = box.positions.values.copy()
box.positions.values[1] = box.positions.values[0]
out["nan"] = [bool(np.isnan(values).all()) for values in first.replay()[0]]
box.positions.values[...] = good
out["nan"] += [bool(np.isnan(values).all()) for values in first.replay()[0]]
out["errors"]["eager after"] = box.error(box())

# What the graphs had is given back at the next call, not before.
before = driver.stub_memory_blocks()
first.destroy()
second.destroy()
out["kept"] = driver.stub_memory_blocks() == before
other()
out["given_back"] = before - driver.stub_memory_blocks()

# Boxes that a replay takes from the GPU are not those that another call of the graph has on the CPU.
box()
on_cpu = Operator("box", cell_on_gpu=False)
on_cpu.cell.values[...] = box.cell.values  # the same numbers, now
out["refused"]["boxes on both"] = refused(lambda: (box(), on_cpu()))
elsewhere = Operator("box")
elsewhere.cell = Tensor(systems["box_cell"], np.float64, 2)
try:
    elsewhere()
except RuntimeError as error:
    out["refused"]["cell on another GPU"] = str(error)
# As in a thread whose first call to the driver is ours.
call("cuCtxSetCurrent", None)
out["errors"]["no current context"] = box.error(box())
out["first_error"] = driver.stub_first_error().decode()
print("RESULTS " + json.dumps(out))
