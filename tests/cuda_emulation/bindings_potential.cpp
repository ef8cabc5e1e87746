// The whole CUDA backend on the emulated device, as `_engine.Potential` is the CPU's.

#include "bindings.h"

#include <cmath>
#include <optional>

#include <pybind11/stl.h>

#include "cuda/buffer.h"
#include "cuda/cuda_potential.h"
#include "cuda/device/atom_arguments.h"
#include "cuda/device_tensors.h"
#include "cuda/kernel_options.h"
#include "cuda/replay.h"
#include "input_checks.h"
#include "python/device_edge_list.h"
#include "python/potential_arrays.h"

namespace py = pybind11;
using namespace so3krates;

namespace {

class EmulatedPotential {
public:
    EmulatedPotential(const std::string &modelFile, std::optional<double> lrCutoff, std::optional<double> width,
                      bool allowUntrainedElements, bool radialTable, double headroom, int multiprocessors)
        : team(makeThreadTeam(1)), device(std::make_shared<emulation::EmulatedDevice>()) {
        Options options;
        options.precision = sizeof(SO3K_REAL) == sizeof(double) ? Precision::Double : Precision::Single;
        options.lrCutoff = lrCutoff ? *lrCutoff : INFINITY;
        if (width)
            options.dispersionSwitchWidth = *width;
        options.allowUntrainedElements = allowUntrainedElements;
        options.radialTable = radialTable;
        const auto model = Model::load(modelFile);
        device->multiprocessors = multiprocessors;
        potential = cuda::makeCudaPotential(model, completeOptions(*model, options), device, headroom);
        runs.emplace(device, true);
    }
    py::dict compute(const Ints &atomicNumbers, const Doubles &positions, const Ints &offsets, const Doubles &cells,
                     const Doubles &charges, const Doubles &spins, bool forces, bool virial) {
        const auto evaluate = [&](const System &system, const Results &results) {
            potential->compute(system, results, *team);
        };
        return computeArrays(evaluate, atomicNumbers, &positions, offsets, cells, charges, spins, forces, virial);
    }
    py::dict computeOnDevice(const Ints &atomicNumbers, std::uintptr_t positions,
                             const std::array<std::ptrdiff_t, 2> &strides, bool isSingle,
                             const std::array<std::uintptr_t, 3> &outputs, std::uintptr_t stream, const Ints &offsets,
                             const Doubles &cells, const Doubles &charges, const Doubles &spins, bool virial) {
        const auto evaluate = [&](const System &system, const Results &results) {
            cuda::compute(*potential, *device, system, deviceArrays(positions, strides, isSingle, outputs, stream),
                          results);
        };
        return computeArrays(evaluate, atomicNumbers, nullptr, offsets, cells, charges, spins, false, virial);
    }
    // As the torch operators on a GPU. Tensors are addresses, `cell` and `virial` 0 where there is none.
    struct Tensors {
        std::uintptr_t positions, cell, energy, forces, charges, virial;
        bool isSingle, cellIsSingle;
    };
    void computeTensors(const Ints &atomicNumbers, const Doubles &cells, const Tensors &given) {
        cuda::compute(*potential, *device, systemOf(atomicNumbers, cells), tensorsOf(given, nullptr));
    }
    bool canRecordTensors(const Ints &atomicNumbers, const Doubles &cells, const Tensors &given) {
        return cuda::canRecord(*potential, systemOf(atomicNumbers, cells), tensorsOf(given, nullptr));
    }
    void recordTensors(const Ints &atomicNumbers, const Doubles &cells, const Tensors &given) {
        graph.clear();
        cuda::record(*potential, *device, systemOf(atomicNumbers, cells), tensorsOf(given, &graph));
    }
    // As DevicePotential; positions are written by a copy, graphs are the emulated device's.
    void prepare(const Ints &atomicNumbers, const Ints &offsets, const Doubles &cells, bool forces, bool virials) {
        System system;
        system.numAtoms = numAtoms = int(atomicNumbers.size());
        system.atomicNumbers = atomicNumbers.data();
        system.numMolecules = numMolecules = int(offsets.size()) - 1;
        system.offsets = offsets.data();
        system.cells = cells.size() ? cells.data() : nullptr;
        potential->prepare(system, forces, virials);
    }
    void writePositions(const Doubles &positions) {
        device->upload(potential->buffers().positions, positions.data(), sizeof(double) * positions.size());
    }
    void enqueue() { potential->enqueue(); }
    void record() {
        graph = device->record([&] { potential->enqueue(); });
    }
    void replay() { device->replay(graph); }
    size_t recordedNodes() const { return graph.size(); }
    bool run() {
        runs->run(*potential);
        return runs->isReplaying();
    }
    bool finish() { return potential->finish(); }
    void download() { potential->download({}); }
    unsigned long generation() const { return potential->generation(); }
    // What is in the device's buffers.
    py::dict buffers() {
        const cuda::DeviceBuffers b = potential->buffers();
        py::dict out;
        out["forces"] = copy(b.forces, {numAtoms, 3});
        out["partial_charges"] = copy(b.partialCharges, {numAtoms});
        out["hirshfeld_ratios"] = copy(b.hirshfeldRatios, {numAtoms});
        out["sums"] = copy(b.sums, {numMolecules, cuda::NumMoleculeSums});
        return out;
    }
    std::string implementation() const { return potential->implementation(); }
    std::shared_ptr<emulation::EmulatedDevice> emulatedDevice() const { return device; }

private:
    static System systemOf(const Ints &atomicNumbers, const Doubles &cells) {
        System system;
        system.numAtoms = int(atomicNumbers.size());
        system.atomicNumbers = atomicNumbers.data();
        system.cells = cells.size() ? cells.data() : nullptr;
        return system;
    }
    static cuda::DeviceTensors tensorsOf(const Tensors &given, void *stream) {
        const auto rows = [](std::uintptr_t address, bool isSingle) {
            cuda::DeviceTensor tensor;
            tensor.data = reinterpret_cast<const void *>(address);
            tensor.strides[1] = isSingle ? sizeof(float) : sizeof(double);
            tensor.strides[0] = 3 * tensor.strides[1];
            tensor.isSingle = isSingle;
            return tensor;
        };
        cuda::DeviceTensors tensors;
        tensors.positions = rows(given.positions, given.isSingle);
        tensors.cell = rows(given.cell, given.cellIsSingle);
        tensors.energy = reinterpret_cast<double *>(given.energy);
        tensors.forces = reinterpret_cast<void *>(given.forces);
        tensors.charges = reinterpret_cast<void *>(given.charges);
        tensors.virial = reinterpret_cast<void *>(given.virial);
        tensors.isSingle = given.isSingle;
        tensors.stream = stream;
        return tensors;
    }
    py::object copy(const double *from, std::vector<py::ssize_t> shape) {
        if (!from)
            return py::none();
        py::array_t<double> array(shape);
        device->download(array.mutable_data(), from, sizeof(double) * array.size());
        return array;
    }
    std::unique_ptr<ThreadTeam> team;
    std::shared_ptr<emulation::EmulatedDevice> device;
    std::unique_ptr<cuda::DevicePotential> potential;
    emulation::EmulatedDevice::Graph graph;
    std::optional<cuda::Replay<emulation::EmulatedDevice>> runs;
    int numAtoms = 0, numMolecules = 0;
};

// so3kSums: of each column of `values` over the rows starts[r] to starts[r+1], and of a column that is not there.
py::array_t<double> sums(const std::shared_ptr<emulation::EmulatedDevice> &device, const Doubles &values,
                         const Ints &starts) {
    const int columns = int(values.shape(1));
    cuda::Buffer<double> in(device), out(device);
    cuda::Buffer<int> runs(device);
    cuda::SumArguments a{};
    a.numRuns = int(starts.size()) - 1;
    a.numColumns = columns + 1;
    a.starts = runs.upload(starts.data(), starts.size());
    const double *first = in.upload(values.data(), values.size());
    for (int c = 0; c < columns; c++) {
        a.values[c] = first + c;
        a.stride[c] = columns;
    }
    py::array_t<double> result(std::vector<py::ssize_t>{a.numRuns, a.numColumns});
    a.sums = out.ensure(result.size());
    device->launch("so3kSums", {unsigned(a.numRuns * a.numColumns), cuda::sumThreads, 0}, &a, sizeof a);
    device->download(result.mutable_data(), a.sums, sizeof(double) * result.size());
    return result;
}

} // namespace

void bindPotential(py::module_ &m) {
    PythonEdgeList::bind(py::class_<PythonEdgeList>(m, "EdgeList", py::module_local())
                             .def(py::init([] {
                                 return std::make_unique<PythonEdgeList>(std::make_shared<emulation::EmulatedDevice>());
                             }))
                             .def_property_readonly("device", [](const PythonEdgeList &list) {
                                 return std::static_pointer_cast<emulation::EmulatedDevice>(list.sharedDevice());
                             }));
    py::class_<EmulatedPotential::Tensors>(m, "Tensors", py::module_local())
        .def(py::init<std::uintptr_t, std::uintptr_t, std::uintptr_t, std::uintptr_t, std::uintptr_t, std::uintptr_t,
                      bool, bool>(),
             py::arg("positions"), py::arg("cell"), py::arg("energy"), py::arg("forces"), py::arg("charges"),
             py::arg("virial"), py::arg("is_single"), py::arg("cell_is_single"));
    py::class_<EmulatedPotential>(m, "Potential", py::module_local())
        .def(py::init<const std::string &, std::optional<double>, std::optional<double>, bool, bool, double, int>(),
             py::arg("model_file"), py::arg("lr_cutoff"), py::arg("dispersion_switch_width") = py::none(),
             py::arg("allow_untrained_elements") = false, py::arg("radial_table") = true, py::arg("headroom") = 0.0,
             py::arg("multiprocessors") = 2)
        .def("compute_tensors", &EmulatedPotential::computeTensors)
        .def("can_record_tensors", &EmulatedPotential::canRecordTensors)
        .def("record_tensors", &EmulatedPotential::recordTensors)
        .def("compute", &EmulatedPotential::compute)
        .def("compute_on_device", &EmulatedPotential::computeOnDevice)
        .def_property_readonly("is_on_gpu", [](const EmulatedPotential &) { return true; })
        .def("prepare", &EmulatedPotential::prepare, py::arg("atomic_numbers"), py::arg("offsets"), py::arg("cells"),
             py::arg("forces") = true, py::arg("virials") = false)
        .def("write_positions", &EmulatedPotential::writePositions)
        .def("enqueue", &EmulatedPotential::enqueue)
        .def("record", &EmulatedPotential::record)
        .def("replay", &EmulatedPotential::replay)
        .def_property_readonly("recorded_nodes", &EmulatedPotential::recordedNodes)
        .def("run", &EmulatedPotential::run, "Evaluates by Replay; whether that was a replay.")
        .def("finish", &EmulatedPotential::finish)
        .def("download", &EmulatedPotential::download)
        .def("buffers", &EmulatedPotential::buffers)
        .def_property_readonly("generation", &EmulatedPotential::generation)
        .def_property_readonly("implementation", &EmulatedPotential::implementation)
        .def_property_readonly("device", &EmulatedPotential::emulatedDevice);
    m.def("sums", &sums, py::arg("device"), py::arg("values"), py::arg("starts"));
    m.def("most_atoms_per_block", &cuda::mostAtomsPerBlock, py::arg("row_width"), py::arg("bytes_per_number"));
    m.def("atoms_per_block", &cuda::atomsPerBlock, py::arg("num_atoms"), py::arg("multiprocessors"), py::arg("most"));
}
