// The CUDA driver layer in Python, for `so3krates info`, scripts/compile_kernels.py and the tests.

#include "cuda_bindings.h"

#include <pybind11/stl.h>

#include "cuda/device.h"
#include "cuda/driver/cuda_info.h"
#include "cuda/driver/nvidia_device.h"
#include "cuda/driver/nvrtc.h"
#include "cuda/kernel_options.h"
#include "python/device_edge_list.h"

namespace py = pybind11;
using namespace so3krates;
using namespace so3krates::cuda;

namespace {

Precision precisionOf(const std::string &name) {
    if (name == "double")
        return Precision::Double;
    if (name == "single")
        return Precision::Single;
    throw InputError("precision must be 'single' or 'double', not '" + name + "'");
}

// Only Python knows where its packages are.
void handInFolders() {
    py::object folders = py::module_::import("openmm_so3krates.cuda").attr("nvrtc_folders")();
    setNvrtcFolders(folders.cast<std::vector<std::string>>());
}

py::tuple compileKernels(const std::shared_ptr<Model> &model, const std::string &precision, int architecture,
                         const std::string &nvrtcPath) {
    handInFolders();
    const Macros macros = kernelMacros(model->hyperparameters(), precisionOf(precision));
    Compilation compilation;
    {
        py::gil_scoped_release release;
        const std::shared_ptr<const Nvrtc> nvrtc =
            nvrtcPath.empty() ? findNvrtc(0, architecture) : Nvrtc::open(nvrtcPath);
        Target target;
        target.architecture = architecture;
        compilation = nvrtc->compile(macros, target, true);
    }
    return py::make_tuple(py::bytes(compilation.code), compilation.log);
}

std::string capabilityText(int capability) {
    return std::to_string(capability / 10) + "." + std::to_string(capability % 10);
}

py::dict info() {
    handInFolders();
    CudaInfo found;
    {
        py::gil_scoped_release release;
        found = cudaInfo();
    }
    const auto textOrNone = [](const std::string &text) {
        return text.empty() ? py::object(py::none()) : py::object(py::str(text));
    };
    py::list devices;
    for (const CudaInfo::Gpu &gpu : found.gpus)
        devices.append(py::dict(py::arg("name") = gpu.name,
                                py::arg("compute_capability") = capabilityText(gpu.computeCapability),
                                py::arg("memory_bytes") = gpu.memory));
    const auto part = [&](const std::string &problem, const std::string &version, const std::string &path) {
        return py::dict(py::arg("found") = problem.empty(), py::arg("version") = textOrNone(version),
                        py::arg("path") = textOrNone(path), py::arg("problem") = textOrNone(problem));
    };
    return py::dict(py::arg("driver") = part(found.driverProblem, found.driverVersion, found.driverPath),
                    py::arg("devices") = devices,
                    py::arg("nvrtc") = part(found.nvrtcProblem, found.nvrtcVersion, found.nvrtcPath));
}

// A device for tests and measurements: addresses are integers, host memory is bytes.
class PythonDevice {
public:
    PythonDevice(const std::shared_ptr<Model> &model, const std::string &precision, std::optional<int> index,
                 std::optional<std::uintptr_t> stream) {
        handInFolders();
        NvidiaOptions options;
        options.index = index;
        if (stream)
            options.stream = reinterpret_cast<void *>(*stream);
        const Macros macros = kernelMacros(model->hyperparameters(), precisionOf(precision));
        py::gil_scoped_release release;
        device = NvidiaDevice::open(macros, options);
    }
    std::uintptr_t allocate(size_t bytes) { return reinterpret_cast<std::uintptr_t>(device->allocate(bytes)); }
    void release(std::uintptr_t address) { device->release(pointer(address)); }
    void upload(std::uintptr_t address, const std::string &bytes) {
        device->upload(pointer(address), bytes.data(), bytes.size());
    }
    py::bytes download(std::uintptr_t address, size_t bytes) {
        std::string host(bytes, '\0');
        device->download(&host[0], pointer(address), bytes);
        return host;
    }
    void clear(std::uintptr_t address, size_t bytes) { device->clear(pointer(address), bytes); }
    void launch(const std::string &kernel, unsigned blocks, unsigned threads, size_t sharedBytes,
                const std::string &arguments) {
        device->launch(kernel.c_str(), {blocks, threads, sharedBytes}, arguments.data(), arguments.size());
    }
    void copy(std::uintptr_t to, std::uintptr_t from, size_t bytes) { device->copy(pointer(to), pointer(from), bytes); }
    void follow(std::uintptr_t stream) { device->follow(pointer(stream)); }
    void checkAddress(std::uintptr_t address, const std::string &what) { device->checkAddress(pointer(address), what); }
    void synchronize() { device->synchronize(); }
    std::unique_ptr<Graph> record(const py::function &work) {
        return device->record([&] { work(); });
    }
    void replay(const Graph &graph) { device->replay(graph); }
    std::unique_ptr<Notice> notice(size_t bytes) { return device->notice(bytes); }
    std::string name() const { return device->name(); }
    std::uintptr_t stream() const { return reinterpret_cast<std::uintptr_t>(device->stream()); }
    std::string kernelsFrom() const {
        const char *const sources[] = {"memory", "disk", "compiler"};
        return sources[int(device->kernels().source)];
    }
    std::string compiler() const { return device->kernels().compiler; }
    std::string target() const { return device->kernels().target; }

private:
    static void *pointer(std::uintptr_t address) { return reinterpret_cast<void *>(address); }
    std::shared_ptr<NvidiaDevice> device;
};

void bindDevice(py::module_ &m) {
    py::class_<Graph>(m, "CudaGraph");
    py::class_<Notice>(m, "CudaNotice")
        .def("post",
             [](Notice &notice, std::uintptr_t address) { notice.post(reinterpret_cast<const void *>(address)); })
        .def("join", &Notice::join)
        .def(
            "wait",
            [](Notice &notice, size_t bytes) { return py::bytes(static_cast<const char *>(notice.wait()), bytes); },
            py::arg("bytes"));
    py::class_<PythonDevice>(
        m, "CudaDevice",
        "A GPU with the kernels of a model (for tests); index: None for the current context's GPU; "
        "stream: a CUstream as an integer, None for one of its own.")
        .def(py::init<const std::shared_ptr<Model> &, const std::string &, std::optional<int>,
                      std::optional<std::uintptr_t>>(),
             py::arg("model"), py::arg("precision"), py::arg("index") = py::none(), py::arg("stream") = py::none())
        .def("allocate", &PythonDevice::allocate, py::arg("bytes"))
        .def("release", &PythonDevice::release, py::arg("address"))
        .def("upload", &PythonDevice::upload, py::arg("address"), py::arg("data"))
        .def("download", &PythonDevice::download, py::arg("address"), py::arg("bytes"))
        .def("clear", &PythonDevice::clear, py::arg("address"), py::arg("bytes"))
        .def("launch", &PythonDevice::launch, py::arg("kernel"), py::arg("blocks"), py::arg("threads"),
             py::arg("shared_bytes"), py::arg("arguments"))
        .def("copy", &PythonDevice::copy, py::arg("to"), py::arg("source"), py::arg("bytes"))
        .def("follow", &PythonDevice::follow, py::arg("stream"))
        .def("check_address", &PythonDevice::checkAddress, py::arg("address"), py::arg("what"))
        .def("synchronize", &PythonDevice::synchronize)
        .def("record", &PythonDevice::record, py::arg("work"), py::keep_alive<0, 1>())
        .def("replay", &PythonDevice::replay, py::arg("graph"))
        .def("notice", &PythonDevice::notice, py::arg("bytes"), py::keep_alive<0, 1>())
        .def_property_readonly("name", &PythonDevice::name)
        .def_property_readonly("stream", &PythonDevice::stream)
        .def_property_readonly("kernels_from", &PythonDevice::kernelsFrom)
        .def_property_readonly("compiler", &PythonDevice::compiler)
        .def_property_readonly("target", &PythonDevice::target);
}

} // namespace

std::shared_ptr<Device> openCudaDevice(const Hyperparameters &shape, Precision precision, std::optional<int> index) {
    handInFolders();
    NvidiaOptions options;
    options.index = index;
    py::gil_scoped_release release; // compiling takes seconds
    return NvidiaDevice::open(kernelMacros(shape, precision), options);
}

void bindCuda(py::module_ &m) {
    py::register_exception_translator([](std::exception_ptr p) {
        try {
            if (p)
                std::rethrow_exception(p);
        } catch (const DeviceError &error) {
            py::set_error(py::module_::import("openmm_so3krates.cuda").attr("DeviceError"), error.what());
        }
    });
    bindDevice(m);
    PythonEdgeList::bind(py::class_<PythonEdgeList>(m, "EdgeList").def(py::init([](int index) {
        Hyperparameters any; // lists depend on no model, but the kernels are compiled together
        any.numFeatures = 32;
        any.numLayers = any.numHeads = 1;
        any.degrees = {1};
        any.numRadialBasis = 8;
        return std::make_unique<PythonEdgeList>(openCudaDevice(any, Precision::Single, index));
    })));
    m.def("cuda_info", &info,
          "What there is of CUDA here: {'driver': {'found', 'version', 'path', 'problem'}, 'devices': [{'name', "
          "'compute_capability', 'memory_bytes'}], 'nvrtc': {'found', 'version', 'path', 'problem'}}.");
    m.def("forget_compiled_kernels", &forgetCompiledKernels,
          "Drops the kernels kept in memory, as a new process would have it.");
    m.def("nvrtc_version", [](const std::string &path) { return Nvrtc::open(path)->version(); }, py::arg("path"));
    m.def(
        "nvrtc_architectures", [](const std::string &path) { return Nvrtc::open(path)->architectures(); },
        py::arg("path"));
    m.def(
        "kernel_macros",
        [](const std::shared_ptr<Model> &model, const std::string &precision) {
            py::dict macros;
            for (const auto &[name, value] : kernelMacros(model->hyperparameters(), precisionOf(precision)))
                macros[name.c_str()] = value;
            return macros;
        },
        py::arg("model"), py::arg("precision"), "The macros that the device code is compiled with for this model.");
    m.def("compile_kernels", &compileKernels, py::arg("model"), py::arg("precision"), py::arg("architecture"),
          py::arg("nvrtc_path") = "",
          "Cubin and log (registers, spills and shared memory of every kernel) for an architecture such as 90.");
}
