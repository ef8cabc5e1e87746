#include "emulated_device.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace so3krates::emulation {

using cuda::DeviceError;

std::string runningKernel;

namespace {
constexpr unsigned largestBlock = 1024;
constexpr size_t largestShared = 227 * 1024; // sm_90; older GPUs have less
std::atomic<long> leaks{0};

[[maybe_unused]] bool isMapped(uintptr_t address) {
    const uintptr_t page = uintptr_t(sysconf(_SC_PAGESIZE));
    unsigned char resident;
    return mincore(reinterpret_cast<void *>(address / page * page), 1, &resident) == 0;
}
} // namespace

EmulatedDevice::~EmulatedDevice() {
    leaks += long(allocations.size());
    for (const auto &allocation : allocations)
        std::free(const_cast<char *>(allocation.first));
}

long EmulatedDevice::leaked() { return leaks; }

EmulatedDevice::Graph EmulatedDevice::record(const std::function<void()> &work) {
    Graph graph;
    recordInto(&graph, work);
    return graph;
}

void EmulatedDevice::recordInto(void *stream, const std::function<void()> &work) {
    struct Recording {
        Graph *&current;
        Recording(Graph *&current, Graph &graph) : current(current) { current = &graph; }
        ~Recording() { current = nullptr; }
    } now(recording, *static_cast<Graph *>(stream));
    work();
}

void EmulatedDevice::put(std::function<void()> work) {
    if (recording)
        return recording->push_back(std::move(work));
    catchUp();
    work();
}

void EmulatedDevice::catchUp() {
    const Graph nodes = std::move(late);
    late.clear();
    for (const auto &node : nodes)
        node();
}

void EmulatedDevice::replay(const Graph &graph) {
    catchUp();
    if (replays != "never")
        late = graph;
    if (replays == "at once")
        catchUp();
}

void EmulatedDevice::refuseRecording(const char *what) const {
    if (recording)
        throw DeviceError(std::string(what) + " while a graph is recorded");
}

void *EmulatedDevice::allocate(size_t bytes) {
    refuseRecording("allocation");
    if (bytes == 0)
        throw DeviceError("allocation of 0 bytes, which CUDA refuses");
    void *memory = allocationsLeft-- == 0 ? nullptr : std::malloc(bytes);
    if (!memory)
        throw DeviceError("out of memory: " + std::to_string(bytes) + " bytes were asked for");
    std::memset(memory, 0xff, bytes);
    allocations[static_cast<char *>(memory)] = bytes;
    allocated++;
    return memory;
}

size_t EmulatedDevice::liveBytes() const {
    size_t bytes = 0;
    for (const auto &[begin, size] : allocations)
        bytes += size;
    return bytes;
}

void EmulatedDevice::release(void *pointer) noexcept {
    if (!pointer)
        return;
    if (allocations.erase(static_cast<char *>(pointer)) == 0) {
        std::fputs("EmulatedDevice::release: not an allocation of this device\n", stderr);
        std::abort();
    }
    std::free(pointer);
}

bool EmulatedDevice::owns(const void *pointer, size_t bytes) const {
    const char *begin = static_cast<const char *>(pointer);
    for (const auto *blocks : {&allocations, &adopted}) {
        auto after = blocks->upper_bound(begin);
        if (after == blocks->begin())
            continue;
        --after;
        if (begin + bytes <= after->first + after->second)
            return true;
    }
    return false;
}

void EmulatedDevice::checkAddress(const void *pointer, const std::string &what) const {
    if (!owns(pointer, 1))
        throw DeviceError(what + " is not an array in CUDA's memory");
}

void EmulatedDevice::copy(void *to, const void *from, size_t bytes) {
    put([=] {
        checkRange("copy", to, bytes);
        checkRange("copy", from, bytes);
        std::memmove(to, from, bytes);
    });
}

void EmulatedDevice::checkRange(const char *what, const void *pointer, size_t bytes) const {
    if (bytes && !owns(pointer, bytes))
        throw DeviceError(std::string(what) + ": " + std::to_string(bytes) + " bytes are not inside one allocation");
}

// A pointer to host memory would work here and nowhere else. Words of the arguments that could be addresses (doubles
// and pairs of small numbers hardly ever are) must lie inside the device's allocations. AddressSanitizer maps so much
// memory that pairs of small numbers are, so not there.
void EmulatedDevice::checkPointers([[maybe_unused]] const char *kernel, [[maybe_unused]] const void *arguments,
                                   [[maybe_unused]] size_t bytes) const {
#if !defined(__SANITIZE_ADDRESS__)
    for (size_t at = 0; at + sizeof(uintptr_t) <= bytes; at += sizeof(uintptr_t)) {
        uintptr_t word;
        std::memcpy(&word, static_cast<const char *>(arguments) + at, sizeof(word));
        if (word >= 1ull << 32 && word < 1ull << 47 && !owns(reinterpret_cast<void *>(word), 0) && isMapped(word))
            throw DeviceError(std::string(kernel) + ": byte " + std::to_string(at) +
                              " of its arguments holds a pointer to host or released memory");
    }
#endif
}

void EmulatedDevice::upload(void *device, const void *host, size_t bytes) {
    refuseRecording("upload");
    checkRange("upload", device, bytes);
    catchUp();
    std::memcpy(device, host, bytes);
}

void EmulatedDevice::download(void *host, const void *device, size_t bytes) {
    refuseRecording("download");
    checkRange("download", device, bytes);
    catchUp();
    std::memcpy(host, device, bytes);
    downloads++;
}

void EmulatedDevice::clear(void *device, size_t bytes) {
    put([=] {
        checkRange("clear", device, bytes);
        std::memset(device, 0, bytes);
    });
}

// Every post may be waited for once: a wait without one would read the bytes of an evaluation before.
class EmulatedDevice::HostCopy : public cuda::Notice {
public:
    HostCopy(EmulatedDevice &device, size_t bytes) : device(device), posted(bytes) {}
    void post(const void *source) override {
        device.put([=] {
            device.checkRange("notice", source, posted.size());
            if (beside)
                throw DeviceError("a notice is posted again, and nobody has joined the copy before");
            std::memcpy(posted.data(), source, posted.size());
            isPosted = true;
            beside = source;
        });
    }
    void join() override {
        device.put([=] {
            if (beside && std::memcmp(posted.data(), beside, posted.size()))
                throw DeviceError("what a notice copies beside the stream was written to before it was joined");
            beside = nullptr;
        });
    }
    const void *wait() override {
        device.refuseRecording("waiting");
        if (!isPosted && device.replays == "at once")
            throw DeviceError("a notice is waited for that nobody has posted");
        isPosted = false;
        device.notices++;
        return posted.data();
    }

private:
    EmulatedDevice &device;
    std::vector<char> posted;
    bool isPosted = false;
    const void *beside = nullptr;
};

std::unique_ptr<cuda::Notice> EmulatedDevice::notice(size_t bytes) { return std::make_unique<HostCopy>(*this, bytes); }

void EmulatedDevice::launch(const char *kernel, const cuda::LaunchSize &size, const void *arguments, size_t bytes) {
    const KernelRegistry &registry = kernelRegistry();
    const auto found = registry.kernels.find(kernel);
    if (found == registry.kernels.end())
        throw DeviceError(std::string("there is no kernel ") + kernel);
    if (bytes != found->second.argumentBytes)
        throw DeviceError(std::string(kernel) + " takes " + std::to_string(found->second.argumentBytes) +
                          " bytes of arguments and was given " + std::to_string(bytes));
    if (size.blocks == 0)
        return;
    if (launchesLeft-- == 0)
        throw DeviceError(std::string(kernel) + ": the launch that the test lets fail");
    if (size.threads == 0 || size.threads > largestBlock)
        throw DeviceError(std::string(kernel) + ": a block of " + std::to_string(size.threads) + " threads");
    const size_t sharedBytes = size.sharedBytes + size_t(registry.shared.end - registry.shared.begin);
    if (size.sharedBytes > largestShared)
        throw DeviceError(std::string(kernel) + ": " + std::to_string(sharedBytes) + " bytes of shared memory");
    // uint64_t: aligned for any argument struct
    std::vector<uint64_t> copy((bytes + 7) / 8);
    std::memcpy(copy.data(), arguments, bytes);
    put([this, name = std::string(kernel), size, copy, &registry, &call = found->second.call] {
        checkPointers(name.c_str(), copy.data(), copy.size() * sizeof(uint64_t));
        runningKernel = name;
        try {
            runLaunch(size.blocks, size.threads, size.sharedBytes, registry.shared, [&] { call(copy.data()); });
        } catch (const KernelError &error) {
            throw DeviceError(name + ": " + error.what());
        }
        launches[name]++;
        sizes[name] = {size.blocks, size.threads};
    });
}

} // namespace so3krates::emulation
