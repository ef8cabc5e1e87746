// The CUDA driver layer in Python, for `so3krates info`, scripts/compile_kernels.py and the tests.

#include "cuda_bindings.h"

#include <pybind11/stl.h>

#include "cuda/device.h"
#include "cuda/driver/nvrtc.h"
#include "cuda/kernel_options.h"

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

} // namespace

void bindCuda(py::module_ &m) {
    py::register_exception_translator([](std::exception_ptr p) {
        try {
            if (p)
                std::rethrow_exception(p);
        } catch (const DeviceError &error) {
            py::set_error(py::module_::import("openmm_so3krates.cuda").attr("DeviceError"), error.what());
        }
    });
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
