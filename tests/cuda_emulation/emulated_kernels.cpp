// The device code as C++, for one shape (macros SO3K_*).

#include "emulated_device.h"

#include "cuda_language.h" // after the standard library: it redefines names that the library uses

extern "C" char __start_so3krates_shared[], __stop_so3krates_shared[]; // by the linker

#ifndef SO3K_DEVICE_CODE
#define SO3K_DEVICE_CODE "cuda/device/all.cuh"
#endif

// Without a name: functions become internal, so that GCC lets static variables of templates into the section.
namespace {
namespace so3krates::cuda {}
#include SO3K_DEVICE_CODE
using namespace so3krates::cuda; // where kernels may be
__shared__ char so3kSectionExists __attribute__((used));
} // namespace

namespace so3krates::emulation {

const KernelRegistry &kernelRegistry() {
    static const KernelRegistry registry = [] {
        KernelRegistry kernels;
#define SO3K_KERNEL(name) kernels.add(#name, name);
#include "emulated_kernel_names.h"
        kernels.shared = {__start_so3krates_shared, __stop_so3krates_shared};
        return kernels;
    }();
    return registry;
}

} // namespace so3krates::emulation
