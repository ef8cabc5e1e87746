#pragma once
// NVIDIA's run-time compiler, libnvrtc: finding one that suits the driver and the GPU, and compiling the kernels.

#include <memory>
#include <string>
#include <vector>

#include "cuda/kernel_options.h"

namespace so3krates::cuda {

// What a GPU of one compute capability gets: machine code of its own architecture or an older one of the same
// generation; failing that, PTX of an older generation, which the driver translates when it loads it.
struct Target {
    int architecture = 0; // 90 for compute capability 9.0; 0: this compiler has nothing for the GPU
    bool ptx = false;
    std::string name() const; // "sm_90" or "compute_90"
};

struct Compilation {
    std::string code; // cubin or PTX
    std::string log;
};

struct NvrtcFunctions;

class Nvrtc {
public:
    // Opens one library, its builtins first. Throws DeviceError.
    static std::shared_ptr<const Nvrtc> open(const std::string &path);
    ~Nvrtc();

    int majorVersion() const { return major; }
    std::string version() const; // "13.0"
    const std::string &path() const { return file; }
    const std::vector<int> &architectures() const { return supported; } // rising
    Target target(int computeCapability) const;                         // 90 for 9.0
    // cuda/device/all.cuh with these macros. report: registers, spills and shared memory of every kernel in the log.
    // Throws DeviceError with the compiler's messages.
    Compilation compile(const Macros &macros, const Target &target, bool report = false) const;
    // Everything but the sources and macros that decides what compile() gives.
    std::vector<std::string> options(const Target &target, bool report = false) const;

private:
    Nvrtc() = default;
    std::unique_ptr<NvrtcFunctions> functions;
    std::string file;
    int major = 0, minor = 0;
    std::vector<int> supported;
};

// Folders to look in first, such as those of Python packages. For the whole process.
void setNvrtcFolders(std::vector<std::string> folders);

// Looks in $SO3KRATES_NVRTC (libraries or folders, separated by colons) and nowhere else if that is set; else in the
// folders of setNvrtcFolders, where the loader looks, and in /usr/local/cuda. Takes the first that can serve a driver
// of this version (12040 for CUDA 12.4: it may refuse code of a newer major version; 0: any) and this compute
// capability (0: any). Throws DeviceError: none there, or none that serves; says what to install.
std::shared_ptr<const Nvrtc> findNvrtc(int driverVersion, int computeCapability);

} // namespace so3krates::cuda
