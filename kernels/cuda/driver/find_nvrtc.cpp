#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "cuda/device.h"
#include "cuda/driver/driver.h"
#include "cuda/driver/nvrtc.h"

namespace so3krates::cuda {

namespace {

const char *const sonames[] = {"libnvrtc.so.13", "libnvrtc.so.12"};

std::mutex foldersMutex;
std::vector<std::string> givenFolders;

bool isGiven() {
    const char *variable = std::getenv("SO3KRATES_NVRTC");
    return variable != nullptr && *variable != 0;
}

std::vector<std::string> libraryFiles(const std::string &place) {
    std::error_code error;
    if (!std::filesystem::is_directory(place, error))
        return {place};
    std::vector<std::string> files;
    for (const char *soname : sonames)
        if (const std::string file = place + "/" + soname; std::filesystem::exists(file, error))
            files.push_back(file);
    return files;
}

// Everything worth trying, in order.
std::vector<std::string> candidates() {
    std::vector<std::string> places, files;
    if (isGiven()) {
        std::string rest = std::getenv("SO3KRATES_NVRTC");
        for (size_t colon; (colon = rest.find(':')) != std::string::npos; rest.erase(0, colon + 1))
            places.push_back(rest.substr(0, colon));
        places.push_back(rest);
    } else {
        std::lock_guard<std::mutex> lock(foldersMutex);
        places = givenFolders;
    }
    for (const std::string &place : places)
        if (!place.empty())
            for (const std::string &file : libraryFiles(place))
                files.push_back(file);
    if (!isGiven()) {
        files.insert(files.end(), std::begin(sonames), std::end(sonames));
        for (const std::string &file : libraryFiles("/usr/local/cuda/lib64"))
            files.push_back(file);
    }
    return files;
}

} // namespace

void setNvrtcFolders(std::vector<std::string> folders) {
    std::lock_guard<std::mutex> lock(foldersMutex);
    givenFolders = std::move(folders);
}

std::shared_ptr<const Nvrtc> findNvrtc(int driverVersion, int computeCapability) {
    std::string refused, unopened;
    for (const std::string &file : candidates()) {
        std::shared_ptr<const Nvrtc> nvrtc;
        try {
            nvrtc = Nvrtc::open(file);
        } catch (const DeviceError &error) {
            unopened += std::string("\n  ") + error.what();
            continue;
        }
        const std::string what = "\n  " + nvrtc->path() + " (NVRTC " + nvrtc->version() + ")";
        if (driverVersion > 0 && nvrtc->majorVersion() > driverVersion / 1000)
            refused += what + ": too new for a driver of CUDA " + cudaVersionText(driverVersion);
        else if (computeCapability > 0 && nvrtc->target(computeCapability).architecture == 0)
            refused += what + ": no longer compiles for compute capability " + std::to_string(computeCapability / 10) +
                       "." + std::to_string(computeCapability % 10);
        else
            return nvrtc;
    }
    if (!refused.empty())
        throw DeviceError("no NVRTC that suits this GPU and its driver:" + refused +
                          "\nInstall the one of CUDA 12: pip install 'nvidia-cuda-nvrtc-cu12==12.9.*'");
    const std::string given = isGiven() ? " (now " + std::string(std::getenv("SO3KRATES_NVRTC")) + ")" : "";
    throw DeviceError("NVRTC, NVIDIA's run-time compiler, was not found. Install it: pip install nvidia-cuda-nvrtc "
                      "(driver 580 or newer) or nvidia-cuda-nvrtc-cu12 (older drivers); or set SO3KRATES_NVRTC to the "
                      "path of libnvrtc.so" +
                      given + ". Tried:" + unopened);
}

} // namespace so3krates::cuda
