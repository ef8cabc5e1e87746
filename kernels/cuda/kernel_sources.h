#pragma once
// The device code (kernels/cuda/device) as text. Defined in a file that cmake/EmbedKernels.cmake generates.

#include <cstddef>
#include <string>
#include <vector>

namespace so3krates::cuda {

struct KernelSource {
    std::string name; // as it is included: "cuda/device/all.cuh"
    std::string text;
};

const std::vector<KernelSource> &kernelSources();

} // namespace so3krates::cuda
