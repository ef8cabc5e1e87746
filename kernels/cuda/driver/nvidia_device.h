#pragma once
// A GPU with the kernels of one model shape, through NVIDIA's driver.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cuda/device.h"
#include "cuda/driver/compiled_kernels.h"
#include "cuda/driver/graph.h"

namespace so3krates::cuda {

struct NvidiaOptions {
    // Nothing: the context that is current (OpenMM's, torch's), or GPU 0 if there is none. A number: that GPU, in the
    // current context if it is one of that GPU, else in its primary context (the one torch, CuPy and JAX use).
    std::optional<int> index;
    // Nothing: a stream of our own, which waits for nobody. Else the caller's CUstream (null: the default stream), of
    // the same context; everything is then put on it, in order with the caller's work, and it is not ours to destroy.
    std::optional<void *> stream;
};

// All methods make the context current while they run and leave what was current before. Two threads must not use one
// object at once. The object must be gone before a context that is not ours is destroyed.
class NvidiaDevice : public Device {
public:
    // Finds or compiles the kernels and loads them. Throws DeviceError: no driver, no GPU, no NVRTC, no such GPU.
    static std::shared_ptr<NvidiaDevice> open(const Macros &macros, const NvidiaOptions &options = {});
    ~NvidiaDevice() override;

    void *allocate(size_t bytes) override;
    void release(void *pointer) noexcept override;
    // Memory that is not page-locked may change as soon as this returns.
    void upload(void *device, const void *host, size_t bytes) override;
    void download(void *host, const void *device, size_t bytes) override;
    void clear(void *device, size_t bytes) override;
    std::unique_ptr<Notice> notice(size_t bytes) override;
    void launch(const char *kernel, const LaunchSize &size, const void *arguments, size_t bytes) override;
    void copy(void *to, const void *from, size_t bytes) override;
    void synchronize() override;
    void follow(void *stream) override;
    void recordInto(void *stream, const std::function<void()> &work) override;
    void checkAddress(const void *pointer, const std::string &what) const override;
    bool hasTensorCores() const override { return tensorCores; }
    int numMultiprocessors() const override { return multiprocessors; }
    std::string name() const override;

    // Records launches and clears for replay(); see Graph. Also where the stream is the default one. The graph must not
    // outlive the device.
    std::unique_ptr<Graph> record(const std::function<void()> &work);
    void replay(const Graph &graph);

    const CompiledKernels &kernels() const { return *compiled; }
    int computeCapability() const { return capability; } // 90 for 9.0
    void *stream() const { return queue; }

private:
    class HostCopy;
    struct Function {
        CUfunction handle = nullptr;
        size_t sharedBytes = 0; // dynamic shared memory that a launch may ask for
    };
    explicit NvidiaDevice(std::shared_ptr<const Driver> driver) : driver(std::move(driver)) {}
    void chooseContext(const std::optional<int> &index);
    std::unique_ptr<Graph> recordOnStream(const std::function<void()> &work);
    Function &function(const char *kernel);
    // Before the driver does, which would spoil the recording, too.
    void refuseRecording(const char *what) const;

    std::shared_ptr<const Driver> driver;
    CUdevice device = 0;
    CUcontext context = nullptr;
    CUmodule module = nullptr;
    CUstream queue = nullptr;
    CUevent followed = nullptr; // made by the first follow()
    bool ownsContext = false, ownsStream = false, isRecording = false;
    int capability = 0;
    bool tensorCores = false;
    int multiprocessors = 1;
    std::shared_ptr<const CompiledKernels> compiled;
    std::map<std::string, Function, std::less<>> functions;
};

// "8.0" and the like of a GPU, as 80.
int computeCapabilityOf(const Driver &driver, CUdevice device);
std::string nameOf(const Driver &driver, CUdevice device);

} // namespace so3krates::cuda
