#pragma once
// What there is of CUDA on this machine, for people: the driver, its GPUs, the compiler.

#include <string>
#include <vector>

namespace so3krates::cuda {

struct CudaInfo {
    struct Gpu {
        std::string name;
        int computeCapability = 0; // 90 for 9.0
        size_t memory = 0;         // bytes
    };
    // Empty problem: it is there and works.
    std::string driverProblem, driverVersion, driverPath; // the version of CUDA that the driver supports
    std::vector<Gpu> gpus;
    std::string nvrtcProblem, nvrtcVersion, nvrtcPath; // the one that the first GPU would get
};

CudaInfo cudaInfo(); // never throws because something is missing

} // namespace so3krates::cuda
