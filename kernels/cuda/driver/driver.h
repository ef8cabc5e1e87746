#pragma once
// NVIDIA's driver, libcuda, and its errors in words.

#include <memory>
#include <string>

#include "cuda/driver/cuda_api.h"

namespace so3krates::cuda {

class Driver : public DriverFunctions {
public:
    // The oldest driver whose CUDA version runs what NVRTC 12 compiles.
    static constexpr int minimumVersion = 12000;

    // Opens $SO3KRATES_LIBCUDA or libcuda.so.1 and initializes it. Throws DeviceError: no driver, too old, broken, no
    // GPU; says what to do. Kept for the life of the process once it works.
    static std::shared_ptr<const Driver> get();

    int version() const { return number; } // 12040 for CUDA 12.4
    const std::string &path() const { return file; }
    // Throws DeviceError unless the call went well: its name, the error's name and meaning, and the mend if there is
    // one.
    void check(CUresult result, const std::string &call) const;

private:
    Driver() = default;
    std::string file;
    int number = 0;
};

// Makes a context current for as long as the object lives, if it is not already.
class ContextScope {
public:
    ContextScope(const Driver &driver, CUcontext context);
    ~ContextScope();
    ContextScope(const ContextScope &) = delete;

private:
    const Driver &driver;
    bool isPushed = false;
};

std::string cudaVersionText(int version); // 12040 -> "12.4"

} // namespace so3krates::cuda
