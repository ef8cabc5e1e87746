#include "cuda/driver/nvidia_device.h"

#include <cstdint>
#include <cstring>

namespace so3krates::cuda {

namespace {

CUdeviceptr address(const void *pointer) { return CUdeviceptr(reinterpret_cast<std::uintptr_t>(pointer)); }

} // namespace

int computeCapabilityOf(const Driver &driver, CUdevice device) {
    int major = 0, minor = 0;
    driver.check(driver.deviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device),
                 "cuDeviceGetAttribute");
    driver.check(driver.deviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device),
                 "cuDeviceGetAttribute");
    return 10 * major + minor;
}

std::string nameOf(const Driver &driver, CUdevice device) {
    char text[256] = {};
    driver.check(driver.deviceGetName(text, int(sizeof(text)) - 1, device), "cuDeviceGetName");
    return text;
}

std::shared_ptr<NvidiaDevice> NvidiaDevice::open(const Macros &macros, const NvidiaOptions &options) {
    // Complete enough from the start for the destructor to undo what was done when something fails.
    std::shared_ptr<NvidiaDevice> opened(new NvidiaDevice(Driver::get()));
    const Driver &driver = *opened->driver;
    opened->chooseContext(options.index);
    opened->capability = computeCapabilityOf(driver, opened->device);
    if (opened->capability < 70)
        throw DeviceError(nameOf(driver, opened->device) + " has compute capability " +
                          std::to_string(opened->capability / 10) + "." + std::to_string(opened->capability % 10) +
                          "; 7.0 or newer is needed (Volta, 2017)");
    opened->tensorCores = opened->capability >= 80 && wantTensorCores();
    driver.check(
        driver.deviceGetAttribute(&opened->multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, opened->device),
        "cuDeviceGetAttribute");
    opened->compiled = compiledKernels(macros, driver.version(), opened->capability);
    ContextScope scope(driver, opened->context);
    driver.check(driver.moduleLoadData(&opened->module, opened->compiled->code.c_str()), "cuModuleLoadData");
    if (options.stream) {
        opened->queue = static_cast<CUstream>(*options.stream);
    } else {
        driver.check(driver.streamCreate(&opened->queue, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
        opened->ownsStream = true;
    }
    return opened;
}

void NvidiaDevice::chooseContext(const std::optional<int> &index) {
    const Driver &d = *driver;
    if (index) {
        int count = 0;
        d.check(d.deviceGetCount(&count), "cuDeviceGetCount");
        if (*index < 0 || *index >= count)
            throw DeviceError("there is no GPU " + std::to_string(*index) + ": " + std::to_string(count) +
                              " visible, counted from 0 (nvidia-smi, CUDA_VISIBLE_DEVICES)");
        d.check(d.deviceGet(&device, *index), "cuDeviceGet");
    }
    CUcontext current = nullptr;
    d.check(d.ctxGetCurrent(&current), "cuCtxGetCurrent");
    if (current != nullptr) {
        CUdevice currentDevice = 0;
        d.check(d.ctxGetDevice(&currentDevice), "cuCtxGetDevice");
        if (!index || currentDevice == device) {
            device = currentDevice;
            context = current;
            return;
        }
    }
    if (!index)
        d.check(d.deviceGet(&device, 0), "cuDeviceGet");
    d.check(d.primaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
    ownsContext = true;
}

NvidiaDevice::~NvidiaDevice() {
    if (context == nullptr)
        return;
    try {
        ContextScope scope(*driver, context);
        if (followed != nullptr)
            driver->eventDestroy(followed);
        if (ownsStream)
            driver->streamDestroy(queue);
        if (module != nullptr)
            driver->moduleUnload(module);
    } catch (const DeviceError &) {
        // The driver or the context is gone, as at the end of the process, and everything in it.
    }
    if (ownsContext)
        driver->primaryCtxRelease(device);
}

void NvidiaDevice::refuseRecording(const char *what) const {
    if (isRecording)
        throw DeviceError(std::string("a graph cannot hold ") + what);
}

void *NvidiaDevice::allocate(size_t bytes) {
    refuseRecording("an allocation");
    ContextScope scope(*driver, context);
    CUdeviceptr pointer = 0;
    const CUresult result = driver->memAlloc(&pointer, bytes == 0 ? 1 : bytes); // the driver refuses 0
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        size_t free = 0, total = 0;
        driver->memGetInfo(&free, &total);
        const auto mebibytes = [](size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; };
        throw DeviceError("out of GPU memory: " + std::to_string(bytes) + " bytes were asked for, " + mebibytes(free) +
                          " of " + mebibytes(total) +
                          " are free. Use a smaller system or batch, or end other programs on this GPU (nvidia-smi)");
    }
    driver->check(result, "cuMemAlloc");
    return reinterpret_cast<void *>(std::uintptr_t(pointer));
}

void NvidiaDevice::release(void *pointer) noexcept {
    if (pointer == nullptr)
        return;
    try {
        ContextScope scope(*driver, context);
        driver->memFree(address(pointer));
    } catch (const DeviceError &) {
        // as in the destructor
    }
}

void NvidiaDevice::upload(void *target, const void *host, size_t bytes) {
    refuseRecording("an upload"); // it would read the host's memory again at every replay
    if (bytes == 0)
        return;
    ContextScope scope(*driver, context);
    driver->check(driver->memcpyHtoDAsync(address(target), host, bytes, queue), "cuMemcpyHtoDAsync");
}

void NvidiaDevice::download(void *host, const void *source, size_t bytes) {
    refuseRecording("a download");
    ContextScope scope(*driver, context);
    if (bytes > 0)
        driver->check(driver->memcpyDtoHAsync(host, address(source), bytes, queue), "cuMemcpyDtoHAsync");
    driver->check(driver->streamSynchronize(queue), "cuStreamSynchronize");
}

void NvidiaDevice::clear(void *target, size_t bytes) {
    if (bytes == 0)
        return;
    ContextScope scope(*driver, context);
    driver->check(driver->memsetD8Async(address(target), 0, bytes, queue), "cuMemsetD8Async");
}

// Page-locked memory, which copies do not wait for, a stream for the copy and an event behind it. In a recording the
// copy is a branch of the graph.
class NvidiaDevice::HostCopy : public Notice {
public:
    HostCopy(const NvidiaDevice &device, size_t bytes) : device(device), d(*device.driver), bytes(bytes) {
        ContextScope scope(d, device.context);
        try {
            d.check(d.memAllocHost(&memory, bytes), "cuMemAllocHost");
            std::memset(memory, 0, bytes);
            for (CUevent *event : {&before, &copied, &after})
                d.check(d.eventCreate(event, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
            d.check(d.streamCreate(&beside, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
        } catch (...) {
            release();
            throw;
        }
    }
    ~HostCopy() override {
        try {
            ContextScope scope(d, device.context);
            release();
        } catch (const DeviceError &) {
            // as in the device's destructor
        }
    }
    void post(const void *source) override {
        ContextScope scope(d, device.context);
        record(before, device.queue);
        d.check(d.streamWaitEvent(beside, before, 0), "cuStreamWaitEvent");
        isBeside = !device.isRecording;
        d.check(d.memcpyDtoHAsync(memory, address(source), bytes, beside), "cuMemcpyDtoHAsync");
        // Recorded without the flag, the event would only order the graph's own nodes.
        record(copied, beside, device.isRecording ? CU_EVENT_RECORD_EXTERNAL : CU_EVENT_RECORD_DEFAULT);
        record(after, beside);
    }
    void join() override {
        if (!device.isRecording && !isBeside)
            return; // posted in a recording that came to nothing, if at all
        ContextScope scope(d, device.context);
        d.check(d.streamWaitEvent(device.queue, after, 0), "cuStreamWaitEvent");
        isBeside = false;
    }
    const void *wait() override {
        ContextScope scope(d, device.context);
        d.check(d.eventSynchronize(copied), "cuEventSynchronize");
        return memory;
    }

private:
    void record(CUevent event, CUstream stream, unsigned flags = CU_EVENT_RECORD_DEFAULT) {
        d.check(d.eventRecord(event, stream, flags), "cuEventRecord");
    }
    void release() noexcept {
        if (beside != nullptr)
            d.streamDestroy(beside);
        for (CUevent event : {before, copied, after})
            if (event != nullptr)
                d.eventDestroy(event);
        if (memory != nullptr)
            d.memFreeHost(memory);
    }

    const NvidiaDevice &device;
    const Driver &d;
    size_t bytes;
    void *memory = nullptr;
    CUstream beside = nullptr;
    CUevent before = nullptr, copied = nullptr, after = nullptr;
    bool isBeside = false; // a copy that was not recorded
};

std::unique_ptr<Notice> NvidiaDevice::notice(size_t bytes) { return std::make_unique<HostCopy>(*this, bytes); }

NvidiaDevice::Function &NvidiaDevice::function(const char *kernel) {
    if (auto known = functions.find(kernel); known != functions.end())
        return known->second;
    Function found;
    const CUresult result = driver->moduleGetFunction(&found.handle, module, kernel);
    if (result == CUDA_ERROR_NOT_FOUND)
        throw DeviceError(std::string("there is no kernel ") + kernel);
    driver->check(result, std::string("cuModuleGetFunction(") + kernel + ")");
    int fixed = 0;
    driver->check(driver->funcGetAttribute(&fixed, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, found.handle),
                  std::string("cuFuncGetAttribute(") + kernel + ")");
    // Fixed and dynamic shared memory together: more must be announced (CUDA programming guide, compute capabilities).
    constexpr int unannounced = 48 << 10;
    found.sharedBytes = fixed < unannounced ? unannounced - fixed : 0;
    return functions.emplace(kernel, found).first->second;
}

void NvidiaDevice::launch(const char *kernel, const LaunchSize &size, const void *arguments, size_t) {
    if (size.blocks == 0)
        return;
    ContextScope scope(*driver, context);
    Function &f = function(kernel);
    // The texts of errors are made only when there is one: this is called many times for each evaluation.
    const auto check = [&](CUresult result, const char *call) {
        if (result != CUDA_SUCCESS)
            driver->check(result, std::string(call) + "(" + kernel + ", " + std::to_string(size.blocks) +
                                      " blocks of " + std::to_string(size.threads) + " threads, " +
                                      std::to_string(size.sharedBytes) + " bytes of shared memory)");
    };
    if (size.sharedBytes > f.sharedBytes) {
        check(
            driver->funcSetAttribute(f.handle, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, int(size.sharedBytes)),
            "cuFuncSetAttribute");
        f.sharedBytes = size.sharedBytes;
    }
    void *parameters[] = {const_cast<void *>(arguments)}; // copied before the call returns
    check(driver->launchKernel(f.handle, size.blocks, 1, 1, size.threads, 1, 1, unsigned(size.sharedBytes), queue,
                               parameters, nullptr),
          "cuLaunchKernel");
}

void NvidiaDevice::synchronize() {
    refuseRecording("a wait");
    ContextScope scope(*driver, context);
    driver->check(driver->streamSynchronize(queue), "cuStreamSynchronize");
}

void NvidiaDevice::copy(void *to, const void *from, size_t bytes) {
    if (bytes == 0)
        return;
    ContextScope scope(*driver, context);
    driver->check(driver->memcpyDtoDAsync(address(to), address(from), bytes, queue), "cuMemcpyDtoDAsync");
}

void NvidiaDevice::follow(void *stream) {
    if (stream == queue)
        return;
    ContextScope scope(*driver, context);
    if (followed == nullptr)
        driver->check(driver->eventCreate(&followed, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    driver->check(driver->eventRecord(followed, static_cast<CUstream>(stream), CU_EVENT_RECORD_DEFAULT),
                  "cuEventRecord");
    driver->check(driver->streamWaitEvent(queue, followed, 0), "cuStreamWaitEvent");
}

void NvidiaDevice::recordInto(void *stream, const std::function<void()> &work) {
    struct Redirected {
        NvidiaDevice &device;
        const CUstream queue;
        Redirected(NvidiaDevice &device, CUstream stream) : device(device), queue(device.queue) {
            device.queue = stream;
            device.isRecording = true;
        }
        ~Redirected() {
            device.queue = queue;
            device.isRecording = false;
        }
    } redirected(*this, static_cast<CUstream>(stream));
    work();
}

void NvidiaDevice::checkAddress(const void *pointer, const std::string &what) const {
    ContextScope scope(*driver, context);
    int owner = -1;
    if (driver->pointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address(pointer)) != CUDA_SUCCESS)
        throw DeviceError(what + " is not an array in CUDA's memory");
    if (owner != device)
        throw DeviceError(what + " is an array on GPU " + std::to_string(owner) + ", and this is a potential on GPU " +
                          std::to_string(device) + ": make one with device=\"cuda:" + std::to_string(owner) +
                          "\", or move the array");
}

std::string NvidiaDevice::name() const { return nameOf(*driver, device) + ", " + compiled->target; }

std::unique_ptr<Graph> NvidiaDevice::record(const std::function<void()> &work) {
    if (queue != nullptr)
        return recordOnStream(work);
    // The default stream cannot be recorded. One of our own can, and what it holds be replayed on any stream.
    {
        ContextScope scope(*driver, context);
        driver->check(driver->streamCreate(&queue, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    }
    const auto backToDefault = [this] {
        const CUstream own = queue;
        queue = nullptr; // whatever happens
        ContextScope scope(*driver, context);
        driver->streamDestroy(own);
    };
    std::unique_ptr<Graph> graph;
    try {
        graph = recordOnStream(work);
    } catch (...) {
        backToDefault();
        throw;
    }
    backToDefault();
    return graph;
}

std::unique_ptr<Graph> NvidiaDevice::recordOnStream(const std::function<void()> &work) {
    return std::make_unique<Graph>(driver, context, queue, [&] {
        struct Recording {
            bool &flag;
            explicit Recording(bool &flag) : flag(flag) { flag = true; }
            ~Recording() { flag = false; }
        } recording(isRecording);
        work();
    });
}

void NvidiaDevice::replay(const Graph &graph) { graph.launch(queue); }

} // namespace so3krates::cuda
