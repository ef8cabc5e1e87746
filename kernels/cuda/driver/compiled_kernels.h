#pragma once
// The kernels for one model shape, precision and GPU: from memory, from the disk, or from the compiler.

#include <memory>
#include <string>

#include "cuda/kernel_options.h"

namespace so3krates::cuda {

struct CompiledKernels {
    std::string code;     // cubin, or PTX for a GPU newer than the compiler
    std::string target;   // "sm_90"
    std::string compiler; // "NVRTC 13.0"
    enum class Source { Memory, Disk, Compiler } source = Source::Compiler; // where this call found the code
};

// Throws DeviceError: no compiler, or it refuses. Only one thread compiles at a time. Arguments as of findNvrtc.
std::shared_ptr<const CompiledKernels> compiledKernels(const Macros &macros, int driverVersion, int computeCapability);

// Forgets what is in memory, as a new process would have it.
void forgetCompiledKernels();

} // namespace so3krates::cuda
