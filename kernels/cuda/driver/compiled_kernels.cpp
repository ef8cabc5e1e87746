#include "cuda/driver/compiled_kernels.h"

#include <map>
#include <mutex>

#include "cuda/driver/cubin_cache.h"
#include "cuda/driver/nvrtc.h"
#include "cuda/kernel_sources.h"
#include "model/sha256.h"

namespace so3krates::cuda {

namespace {

std::mutex mutex;
std::map<std::string, std::string> inMemory; // key -> code

// Everything that the code depends on. Lengths keep neighboring texts apart.
std::string keyOf(const Macros &macros, const Nvrtc &nvrtc, const Target &target) {
    std::string all;
    auto add = [&](const std::string &text) { all += std::to_string(text.size()) + ":" + text; };
    for (const KernelSource &file : kernelSources()) {
        add(file.name);
        add(file.text);
    }
    for (const auto &[name, value] : macros) {
        add(name);
        add(value);
    }
    for (const std::string &option : nvrtc.options(target))
        add(option);
    add(nvrtc.version());
    return sha256(all);
}

} // namespace

std::shared_ptr<const CompiledKernels> compiledKernels(const Macros &macros, int driverVersion, int computeCapability) {
    const std::shared_ptr<const Nvrtc> nvrtc = findNvrtc(driverVersion, computeCapability);
    const Target target = nvrtc->target(computeCapability);
    const std::string key = keyOf(macros, *nvrtc, target);
    auto kernels = std::make_shared<CompiledKernels>();
    kernels->target = target.name();
    kernels->compiler = "NVRTC " + nvrtc->version();
    std::lock_guard<std::mutex> lock(mutex);
    const CubinCache cache = CubinCache::standard();
    if (auto known = inMemory.find(key); known != inMemory.end()) {
        kernels->source = CompiledKernels::Source::Memory;
        kernels->code = known->second;
    } else if (auto kept = cache.read(key)) {
        kernels->source = CompiledKernels::Source::Disk;
        kernels->code = *kept;
        inMemory[key] = kernels->code;
    } else {
        kernels->code = nvrtc->compile(macros, target).code;
        cache.write(key, kernels->code);
        inMemory[key] = kernels->code;
    }
    return kernels;
}

void forgetCompiledKernels() {
    std::lock_guard<std::mutex> lock(mutex);
    inMemory.clear();
}

} // namespace so3krates::cuda
