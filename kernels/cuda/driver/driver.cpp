#include "cuda/driver/driver.h"

#include <cstdlib>
#include <map>
#include <mutex>

#include "cuda/device.h"
#include "cuda/driver/shared_library.h"

namespace so3krates::cuda {

namespace {

const char *advice(CUresult result) {
    switch (result) {
    case CUDA_ERROR_NO_DEVICE:
        return "no GPU is visible: see what nvidia-smi lists, and CUDA_VISIBLE_DEVICES; in a container, give it the "
               "GPU "
               "(docker run --gpus all)";
    case CUDA_ERROR_STUB_LIBRARY:
        return "libcuda.so.1 is the toolkit's stub, not a driver: install NVIDIA's driver, and take the folder 'stubs' "
               "out "
               "of LD_LIBRARY_PATH";
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
        return "the GPU is busy or in exclusive mode: see which processes nvidia-smi lists";
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
        return "NVRTC is newer than the driver or older than the GPU: update NVIDIA's driver, or install the "
               "nvidia-cuda-nvrtc of the CUDA version that nvidia-smi shows";
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_FAILED:
        return "a kernel that was launched before this call went wrong, and the GPU's context is lost: start the "
               "process "
               "anew; compute-sanitizer tells which kernel. Please report this";
    case CUDA_ERROR_LAUNCH_TIMEOUT:
        return "a GPU that drives a display ends long kernels: use another one, or a smaller system";
    case CUDA_ERROR_SYSTEM_NOT_READY:
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
    case CUDA_ERROR_UNKNOWN:
        return "the driver's parts do not fit together, as after an update: reboot, or reload the kernel module nvidia";
    default:
        return nullptr;
    }
}

} // namespace

std::string cudaVersionText(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

void Driver::check(CUresult result, const std::string &call) const {
    if (result == CUDA_SUCCESS)
        return;
    const char *name = nullptr, *meaning = nullptr;
    getErrorName(result, &name);
    getErrorString(result, &meaning);
    std::string text = call + " failed: " + (name == nullptr ? "error " + std::to_string(result) : name);
    if (meaning != nullptr)
        text += std::string(" (") + meaning + ")";
    if (const char *mend = advice(result))
        text += std::string(": ") + mend;
    throw DeviceError(text);
}

std::shared_ptr<const Driver> Driver::get() {
    static std::mutex mutex;
    static std::map<std::string, std::shared_ptr<const Driver>> opened;
    const char *variable = std::getenv("SO3KRATES_LIBCUDA");
    const std::string name = variable != nullptr && *variable != 0 ? variable : "libcuda.so.1";
    std::lock_guard<std::mutex> lock(mutex);
    if (auto known = opened.find(name); known != opened.end())
        return known->second;
    const SharedLibrary library(name);
    if (!library.isOpen())
        throw DeviceError("no NVIDIA driver: " + library.error() +
                          ". Install NVIDIA's driver, 525 or newer; in a container, give it the GPU (docker run --gpus "
                          "all). Without a GPU, use the CPU backend");
    std::shared_ptr<Driver> driver(new Driver);
    driver->file = library.path();
    std::string missing;
#define SO3KRATES_FIND(name, symbolName, ...)                                                                          \
    driver->name = reinterpret_cast<CUresult (*)(__VA_ARGS__)>(library.symbol(#symbolName));                           \
    if (driver->name == nullptr && missing.empty())                                                                    \
        missing = #symbolName;
    SO3KRATES_DRIVER_FUNCTIONS(SO3KRATES_FIND)
#undef SO3KRATES_FIND
    // The version first (it may be asked for before cuInit): an old driver lacks functions, and is to be called old.
    CUresult versionResult = CUDA_SUCCESS;
    if (driver->driverGetVersion != nullptr)
        versionResult = driver->driverGetVersion(&driver->number);
    if (driver->number > 0 && driver->number < minimumVersion)
        throw DeviceError("NVIDIA's driver is too old: it supports CUDA " + cudaVersionText(driver->number) +
                          ", and 12.0 is needed. Install driver 525 or newer");
    if (!missing.empty())
        throw DeviceError(driver->file + " has no function " + missing +
                          ": NVIDIA's driver is too old, or this is not libcuda. Install driver 525 or newer");
    driver->check(versionResult, "cuDriverGetVersion");
    driver->check(driver->init(0), "cuInit");
    int count = 0;
    driver->check(driver->deviceGetCount(&count), "cuDeviceGetCount");
    if (count == 0)
        driver->check(CUDA_ERROR_NO_DEVICE, "cuDeviceGetCount");
    return opened[name] = driver;
}

ContextScope::ContextScope(const Driver &driver, CUcontext context) : driver(driver) {
    CUcontext current = nullptr;
    driver.check(driver.ctxGetCurrent(&current), "cuCtxGetCurrent");
    if (current != context) {
        driver.check(driver.ctxPushCurrent(context), "cuCtxPushCurrent");
        isPushed = true;
    }
}

ContextScope::~ContextScope() {
    CUcontext popped = nullptr;
    if (isPushed)
        driver.ctxPopCurrent(&popped);
}

} // namespace so3krates::cuda
