// The engine as a Python module: thin, no units, no defaults; openmm_so3krates/potential.py is the user's interface.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <optional>
#include <tuple>

#include "attention_bindings.h"
#include "cuda/cuda_potential.h"
#include "cuda/device_memory.h"
#include "cuda_bindings.h"
#include "input_checks.h"
#include "neighbors/neighbor_list.h"
#include "potential.h"
#include "python/potential_arrays.h"
#include "threads/fork_safe_team.h"

namespace py = pybind11;
using namespace so3krates;

namespace {

Options optionsOf(const std::string &precision, std::optional<double> lrCutoff) {
    Options options;
    if (precision == "double")
        options.precision = Precision::Double;
    else if (precision != "single")
        throw InputError("precision must be 'single' or 'double', not '" + precision + "'");
    options.lrCutoff = lrCutoff ? *lrCutoff : std::numeric_limits<double>::infinity();
    if (std::isnan(options.lrCutoff))
        throw InputError("lr_cutoff must be a positive length, or None");
    return options;
}

// A potential with threads of its own.
class PythonPotential {
public:
    // device: "cpu", "cuda" or "cuda:INDEX".
    PythonPotential(std::shared_ptr<const Model> model, const std::string &device, const std::string &precision,
                    std::optional<double> lrCutoff, std::optional<double> dispersionSwitchWidth, int threads,
                    bool allowUntrainedElements, bool radialTable)
        : team(device == "cpu" ? threads : 1) {
        Options options = optionsOf(precision, lrCutoff);
        if (dispersionSwitchWidth)
            options.dispersionSwitchWidth = *dispersionSwitchWidth;
        options.allowUntrainedElements = allowUntrainedElements;
        options.radialTable = radialTable;
        if (device != "cpu") {
            const Options complete = completeOptions(*model, options);
            this->device = openCudaDevice(model->hyperparameters(), complete.precision, gpu(device));
            auto made = cuda::makeCudaPotential(model, complete, this->device);
            onDevice = made.get();
            potential = std::move(made);
        } else {
            potential = Potential::create(std::move(model), options);
        }
    }

    // As computeArrays().
    py::dict compute(const Ints &atomicNumbers, const Doubles &positions, const Ints &offsets, const Doubles &cells,
                     const Doubles &charges, const Doubles &spins, bool forces, bool virial) {
        const auto evaluate = [&](const System &system, const Results &results) {
            std::lock_guard<std::mutex> lock(mutex); // one work space: calls take turns
            refuseFork();
            Results wanted = results;
            wanted.stageTimes = timesStages ? &times : nullptr;
            potential->compute(system, wanted, team.get());
        };
        return computeArrays(evaluate, atomicNumbers, &positions, offsets, cells, charges, spins, forces, virial);
    }

    // As computeArrays() and deviceArrays().
    py::dict computeOnDevice(const Ints &atomicNumbers, std::uintptr_t positions,
                             const std::array<std::ptrdiff_t, 2> &strides, bool isSingle,
                             const std::array<std::uintptr_t, 3> &outputs, std::uintptr_t stream, const Ints &offsets,
                             const Doubles &cells, const Doubles &charges, const Doubles &spins, bool virial) {
        const auto evaluate = [&](const System &system, const Results &results) {
            std::lock_guard<std::mutex> lock(mutex);
            refuseFork();
            cuda::compute(*onDevice, *device, system, deviceArrays(positions, strides, isSingle, outputs, stream),
                          results);
        };
        return computeArrays(evaluate, atomicNumbers, nullptr, offsets, cells, charges, spins, false, virial);
    }

    bool isOnGpu() const { return onDevice; }
    int threads() const { return team.size(); }
    std::string implementation() const { return potential->implementation(); }

    std::vector<StageTime> stageTimes() {
        std::lock_guard<std::mutex> lock(mutex);
        return times;
    }

    bool timesStages = false;

private:
    static std::optional<int> gpu(const std::string &device) {
        if (device == "cuda")
            return std::nullopt;
        const std::string digits = device.substr(std::min(device.size(), size_t(5)));
        if (device.rfind("cuda:", 0) != 0 || digits.empty() || digits.size() > 4 ||
            digits.find_first_not_of("0123456789") != std::string::npos)
            throw InputError("device must be 'cpu', 'cuda' or 'cuda:0', 'cuda:1', ..., not '" + device + "'");
        return std::stoi(digits);
    }

    void refuseFork() const {
        if (onDevice && team.forked())
            throw InputError("a potential on a GPU does not survive fork(): make a new one in the child process, or "
                             "start processes with the method 'spawn'");
    }

    std::shared_ptr<cuda::Device> device;
    std::unique_ptr<Potential> potential;
    cuda::DevicePotential *onDevice = nullptr; // `potential`, if it is on a GPU
    ForkSafeTeam team;
    std::vector<StageTime> times; // of the last evaluation with timesStages
    std::mutex mutex;
};

py::tuple neighborList(Doubles positions, double cutoff, std::optional<Doubles> cell) {
    if (positions.ndim() != 2 || positions.shape(1) != 3)
        throw InputError("positions must have shape (N, 3)");
    if (cell && cell->size() != 9)
        throw InputError("cell must have shape (3, 3)");
    if (!(cutoff > 0) || std::isinf(cutoff))
        throw InputError("the cutoff must be a positive length");
    System system;
    system.numAtoms = int(positions.shape(0));
    system.positions = positions.data();
    for (py::ssize_t k = 0; k < positions.size(); k++)
        if (!(std::abs(positions.data()[k]) < 1e8))
            throw InputError("positions must be finite numbers below 1e8 Å");
    std::vector<Box> boxes{Box::from(cell ? cell->data() : nullptr)};
    NeighborLists lists;
    std::unique_ptr<ThreadTeam> team = makeThreadTeam(1);
    lists.build(system, boxes, cutoff, *team);
    struct Edge {
        int receiver, sender, shift[3];
    };
    std::vector<Edge> edges;
    for (size_t p = 0; p < lists.pairI.size(); p++) {
        Edge edge{lists.pairI[p], lists.pairJ[p], {0, 0, 0}};
        lists.imageVector(0, lists.pairImage[p], edge.shift);
        // from wrapped positions back to those given
        for (int k = 0; k < 3; k++)
            edge.shift[k] += lists.wraps[edge.sender][k] - lists.wraps[edge.receiver][k];
        edges.push_back(edge);
        edges.push_back({edge.sender, edge.receiver, {-edge.shift[0], -edge.shift[1], -edge.shift[2]}});
    }
    std::sort(edges.begin(), edges.end(), [](const Edge &a, const Edge &b) {
        return std::tie(a.receiver, a.sender, a.shift[0], a.shift[1], a.shift[2]) <
               std::tie(b.receiver, b.sender, b.shift[0], b.shift[1], b.shift[2]);
    });
    const py::ssize_t n = py::ssize_t(edges.size());
    py::array_t<int> receivers(n), senders(n), shifts(std::vector<py::ssize_t>{n, 3});
    for (py::ssize_t k = 0; k < n; k++) {
        receivers.mutable_at(k) = edges[k].receiver;
        senders.mutable_at(k) = edges[k].sender;
        for (int x = 0; x < 3; x++)
            shifts.mutable_at(k, x) = edges[k].shift[x];
    }
    return py::make_tuple(receivers, senders, shifts);
}

py::dict cudaMemory(const std::shared_ptr<Model> &model, const std::string &precision, std::optional<double> lrCutoff,
                    const Ints &atomicNumbers, const std::optional<Doubles> &cell, const std::array<int, 3> &rows,
                    bool forces, bool virial) {
    if (atomicNumbers.ndim() != 1 || atomicNumbers.size() == 0)
        throw InputError("atomic_numbers must have shape (N,), N at least 1");
    if (cell && cell->size() != 9)
        throw InputError("cell must have shape (3, 3)");
    if (*std::min_element(rows.begin(), rows.end()) < 0)
        throw InputError("rows must not be negative");
    System system;
    system.numAtoms = int(atomicNumbers.size());
    system.atomicNumbers = atomicNumbers.data();
    system.cells = cell ? cell->data() : nullptr;
    cuda::LongestRows longest;
    longest.edges = rows[0];
    longest.far = rows[1];
    longest.candidates = rows[2];
    const Options options = completeOptions(*model, optionsOf(precision, lrCutoff));
    const cuda::DeviceMemory memory = cuda::deviceMemory(model, options, system, longest, forces, virial);
    return py::dict(py::arg("total") = memory.total, py::arg("model") = memory.model, py::arg("lists") = memory.lists);
}

} // namespace

PYBIND11_MODULE(_engine, m) {
    m.doc() = "The compiled engine of openmm-so3krates (Å, eV). Use openmm_so3krates.Potential.";
    py::register_exception_translator([](std::exception_ptr p) {
        try {
            if (p)
                std::rethrow_exception(p);
        } catch (const ModelError &error) {
            py::set_error(py::module_::import("openmm_so3krates.hyperparameters").attr("ModelError"), error.what());
        }
    });
    py::class_<Model, std::shared_ptr<Model>>(m, "Model")
        .def_static("load", [](const std::string &name) { return std::const_pointer_cast<Model>(Model::load(name)); })
        .def_static("from_bytes",
                    [](const py::bytes &bytes, const std::string &name) {
                        return std::const_pointer_cast<Model>(Model::fromBytes(bytes, name));
                    })
        .def_static("resolve", &Model::resolve)
        .def_property_readonly("name", &Model::name)
        .def_property_readonly("sha256", &Model::sha256)
        .def_property_readonly("file_bytes", [](const Model &model) { return py::bytes(model.bytes()); })
        .def_property_readonly("metadata", &Model::metadata)
        // The whole file: what is read back is the same model wherever that is, and checked as any file.
        .def(py::pickle([](const Model &model) { return py::make_tuple(py::bytes(model.bytes()), model.name()); },
                        [](const py::tuple &state) {
                            return std::const_pointer_cast<Model>(
                                Model::fromBytes(state[0].cast<std::string>(), state[1].cast<std::string>()));
                        }))
        // Python's protocols 0 and 1 would make the object without pybind11, which ends the process.
        .def("__reduce_ex__", [](const py::object &self, int protocol) {
            return py::module_::import("builtins").attr("object").attr("__reduce_ex__")(self, std::max(protocol, 2));
        });
    py::class_<PythonPotential>(m, "Potential")
        .def(py::init([](const std::shared_ptr<Model> &model, const std::string &device, const std::string &precision,
                         std::optional<double> lrCutoff, std::optional<double> width, int threads, bool untrained,
                         bool table) {
                 return std::make_unique<PythonPotential>(model, device, precision, lrCutoff, width, threads, untrained,
                                                          table);
             }),
             py::arg("model"), py::arg("device"), py::arg("precision"), py::arg("lr_cutoff"),
             py::arg("dispersion_switch_width"), py::arg("threads"), py::arg("allow_untrained_elements"),
             py::arg("radial_table"))
        .def("compute", &PythonPotential::compute)
        .def("compute_on_device", &PythonPotential::computeOnDevice)
        .def_property_readonly("is_on_gpu", &PythonPotential::isOnGpu)
        .def_property_readonly("threads", &PythonPotential::threads)
        .def_property_readonly("implementation", &PythonPotential::implementation)
        .def_readwrite("times_stages", &PythonPotential::timesStages)
        .def_property_readonly("stage_times", [](PythonPotential &potential) {
            py::list list;
            for (const StageTime &time : potential.stageTimes())
                list.append(py::make_tuple(time.stage, time.layer, time.seconds));
            return list;
        });
    m.def("neighbor_list", &neighborList, py::arg("positions"), py::arg("cutoff"), py::arg("cell") = py::none(),
          "Receivers, senders and shifts (integer box vectors) of all pairs closer than the cutoff (Å).");
    m.def("cuda_memory", &cudaMemory, py::arg("model"), py::arg("precision"), py::arg("lr_cutoff"),
          py::arg("atomic_numbers"), py::arg("cell"), py::arg("rows"), py::arg("forces") = true,
          py::arg("virial") = false,
          "Bytes of GPU memory that evaluations of a system take, computed without a GPU: {'total', 'model', 'lists'}. "
          "rows: the longest rows of the lists within the model's cutoff, lr_cutoff, and the longer one + cuda_skin.");
    m.attr("cuda_skin") = cuda::listSkin(); // Å
    bindAttention(m);
    bindCuda(m);
}
