// _emulated_<shape>: the CUDA backend of one shape, its kernels executed on the CPU.

#include "bindings.h"

#include <pybind11/stl.h>

namespace py = pybind11;
using so3krates::emulation::EmulatedDevice;
using so3krates::emulation::kernelRegistry;

PYBIND11_MODULE(SO3KRATES_MODULE, m) {
    py::register_local_exception<so3krates::cuda::DeviceError>(m, "DeviceError", PyExc_RuntimeError);
    py::class_<EmulatedDevice, std::shared_ptr<EmulatedDevice>>(m, "Device", py::module_local())
        .def(py::init<>())
        .def_property_readonly("live_allocations", &EmulatedDevice::liveAllocations)
        .def_readwrite("replays", &EmulatedDevice::replays)
        .def_readwrite("launches_left", &EmulatedDevice::launchesLeft)
        .def_property_readonly("live_bytes", &EmulatedDevice::liveBytes)
        .def_readwrite("allocations_left", &EmulatedDevice::allocationsLeft)
        .def_property_readonly("allocations", &EmulatedDevice::allocationsSoFar)
        .def_property_readonly("downloads", &EmulatedDevice::downloadsSoFar)
        .def("adopt", [](EmulatedDevice &device, std::uintptr_t address,
                         size_t bytes) { device.adopt(reinterpret_cast<void *>(address), bytes); })
        .def_property_readonly("followed_streams", &EmulatedDevice::followedStreams)
        .def_property_readonly("notices", &EmulatedDevice::noticesSoFar)
        .def_property_readonly("last_sizes", &EmulatedDevice::lastSizes)
        .def_property_readonly("launches", &EmulatedDevice::launchesSoFar);
    m.def("leaked_allocations", &EmulatedDevice::leaked);
    m.def("kernels", [] {
        std::vector<std::string> names;
        for (const auto &kernel : kernelRegistry().kernels)
            names.push_back(kernel.first);
        return names;
    });
#ifdef SO3KRATES_BIND_SELF_TEST
    bindSelfTest(m);
#endif
#ifdef SO3KRATES_BIND_BANKS
    bindBanks(m);
#endif
#ifdef SO3KRATES_BIND_DENSE
    bindDense(m);
#endif
#ifdef SO3KRATES_BIND_NEIGHBORS
    bindNeighbors(m);
#endif
#ifdef SO3KRATES_BIND_ATTENTION
    bindAttention(m);
#endif
#ifdef SO3KRATES_BIND_POTENTIAL
    bindPotential(m);
#endif
}
