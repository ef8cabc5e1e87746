// Launches of emulated kernels for the pretended GPU of tests/cuda/stub_gpu.cpp, which opens a module as a library.

#include <cstdio>
#include <cstring>
#include <vector>

#include "emulated_device.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace so3krates::emulation;

// Bytes of a kernel's one argument; 0: there is no such kernel.
EXPORT size_t emulatedArgumentBytes(const char *kernel) {
    const auto &kernels = kernelRegistry().kernels;
    const auto found = kernels.find(kernel);
    return found == kernels.end() ? 0 : found->second.argumentBytes;
}

// 0 if all went well.
EXPORT int emulatedLaunch(const char *kernel, unsigned blocks, unsigned threads, size_t sharedBytes,
                          const void *arguments) {
    const KernelRegistry &registry = kernelRegistry();
    const auto &called = registry.kernels.at(kernel);
    std::vector<uint64_t> copy((called.argumentBytes + 7) / 8);
    std::memcpy(copy.data(), arguments, called.argumentBytes);
    try {
        runLaunch(blocks, threads, sharedBytes, registry.shared, [&] { called.call(copy.data()); });
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s: %s\n", kernel, error.what());
        return 1;
    }
    return 0;
}
