#include "cuda/driver/cuda_info.h"

#include "cuda/driver/nvidia_device.h"
#include "cuda/driver/nvrtc.h"

namespace so3krates::cuda {

CudaInfo cudaInfo() {
    CudaInfo info;
    int driverVersion = 0;
    try {
        const std::shared_ptr<const Driver> driver = Driver::get();
        driverVersion = driver->version();
        info.driverVersion = cudaVersionText(driverVersion);
        info.driverPath = driver->path();
        int count = 0;
        driver->check(driver->deviceGetCount(&count), "cuDeviceGetCount");
        for (int index = 0; index < count; index++) {
            CUdevice device = 0;
            driver->check(driver->deviceGet(&device, index), "cuDeviceGet");
            CudaInfo::Gpu gpu;
            gpu.name = nameOf(*driver, device);
            gpu.computeCapability = computeCapabilityOf(*driver, device);
            driver->check(driver->deviceTotalMem(&gpu.memory, device), "cuDeviceTotalMem");
            info.gpus.push_back(gpu);
        }
    } catch (const DeviceError &error) {
        info.driverProblem = error.what();
    }
    try {
        const auto nvrtc = findNvrtc(driverVersion, info.gpus.empty() ? 0 : info.gpus[0].computeCapability);
        info.nvrtcVersion = nvrtc->version();
        info.nvrtcPath = nvrtc->path();
    } catch (const DeviceError &error) {
        info.nvrtcProblem = error.what();
    }
    return info;
}

} // namespace so3krates::cuda
