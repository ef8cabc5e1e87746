// The kernels of self_test.cuh from Python.

#include "bindings.h"

#include <pybind11/numpy.h>

#include "cuda/half.h"
#include "self_test_arguments.h"

namespace py = pybind11;
using namespace so3krates;

namespace {

py::array_t<double> launch(emulation::EmulatedDevice &device, const char *kernel, int mode, py::array_t<double> in,
                           size_t outputs, unsigned blocks, unsigned threads, size_t sharedDoubles, bool hostPointer) {
    SelfTestArguments a{};
    a.mode = mode;
    a.length = mode == 4 ? int(in.size()) : int(sharedDoubles);
    py::array_t<double> out{py::ssize_t(outputs)};
    double *deviceIn = static_cast<double *>(device.allocate(sizeof(double) * in.size()));
    a.in = hostPointer ? in.data() : deviceIn;
    device.upload(deviceIn, in.data(), sizeof(double) * in.size());
    a.out = static_cast<double *>(device.allocate(sizeof(double) * outputs));
    device.clear(a.out, sizeof(double) * outputs);
    std::exception_ptr failure;
    try {
        device.launch(kernel, {blocks, threads, sizeof(double) * sharedDoubles}, &a, sizeof(a));
        device.download(out.mutable_data(), a.out, sizeof(double) * outputs);
    } catch (...) {
        failure = std::current_exception();
    }
    device.release(deviceIn);
    device.release(a.out);
    if (failure)
        std::rethrow_exception(failure);
    return out;
}

} // namespace

void bindSelfTest(py::module_ &m) {
    m.def("launch", &launch, py::arg("device"), py::arg("kernel"), py::arg("mode"), py::arg("input"),
          py::arg("outputs"), py::arg("blocks"), py::arg("threads"), py::arg("shared_doubles") = 1,
          py::arg("host_pointer") = false);
    m.def("half_bits", py::vectorize(so3krates::cuda::halfBits));
    m.def("half_value", py::vectorize(so3krates::cuda::halfValue));
}
