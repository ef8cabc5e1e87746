#pragma once
// A Device that executes the kernels on the CPU (block.h). It is strict: what a GPU would answer with an error or with
// garbage is an error here.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "block.h"
#include "cuda/device.h"

namespace so3krates::emulation {

// The kernels of one build of the device code, by name.
class KernelRegistry {
public:
    struct Kernel {
        size_t argumentBytes;
        std::function<void(const void *arguments)> call;
    };
    template <class Arguments> void add(const char *name, void (*function)(Arguments)) {
        kernels[name] = {sizeof(Arguments),
                         [function](const void *a) { function(*static_cast<const Arguments *>(a)); }};
    }
    std::map<std::string, Kernel> kernels;
    StaticShared shared;
};
const KernelRegistry &kernelRegistry(); // emulated_kernels.cpp

extern std::string runningKernel; // or the one that ran last

class EmulatedDevice : public cuda::Device {
public:
    ~EmulatedDevice() override;
    void *allocate(size_t bytes) override; // filled with ones: NaN
    void release(void *pointer) noexcept override;
    void upload(void *device, const void *host, size_t bytes) override;
    void download(void *host, const void *device, size_t bytes) override;
    void clear(void *device, size_t bytes) override;
    std::unique_ptr<cuda::Notice> notice(size_t bytes) override;
    void launch(const char *kernel, const cuda::LaunchSize &size, const void *arguments, size_t bytes) override;
    void copy(void *to, const void *from, size_t bytes) override;
    void synchronize() override { catchUp(); }
    void follow(void *stream) override { streams.push_back(reinterpret_cast<uintptr_t>(stream)); }
    // `stream`: the address of a Graph, which the work is added to.
    void recordInto(void *stream, const std::function<void()> &work) override;
    void checkAddress(const void *pointer, const std::string &what) const override;
    bool hasTensorCores() const override { return tensorCores; }
    int numMultiprocessors() const override { return multiprocessors; }
    std::string name() const override { return "emulated"; }

    // As NvidiaDevice's: what may be recorded is, and everything else is an error meanwhile.
    using Graph = std::vector<std::function<void()>>;
    Graph record(const std::function<void()> &work);
    void replay(const Graph &graph);

    // For tests.
    bool tensorCores = true;
    int multiprocessors = 2;
    // How replays are executed, beside "at once": "late": when something else is put on the stream or the stream is
    // waited for; "never". Waiting for a notice returns at once, as if for the post before.
    std::string replays = "at once";
    long allocationsLeft = -1, launchesLeft = -1; // the one after that many fails
    void adopt(void *pointer, size_t bytes) { adopted[static_cast<char *>(pointer)] = bytes; } // somebody else's memory
    const std::vector<uintptr_t> &followedStreams() const { return streams; }
    size_t liveAllocations() const { return allocations.size(); }
    size_t liveBytes() const;
    long allocationsSoFar() const { return allocated; }
    long downloadsSoFar() const { return downloads; }
    long noticesSoFar() const { return notices; } // waited for
    const std::map<std::string, long> &launchesSoFar() const { return launches; }
    const std::map<std::string, std::pair<unsigned, unsigned>> &lastSizes() const { return sizes; } // blocks, threads
    static long leaked(); // allocations that were alive when their device went away, over all devices

private:
    class HostCopy;
    void catchUp();                       // with late replays
    void put(std::function<void()> work); // now, or into the graph
    void refuseRecording(const char *what) const;
    bool owns(const void *pointer, size_t bytes) const;
    void checkRange(const char *what, const void *pointer, size_t bytes) const;
    void checkPointers(const char *kernel, const void *arguments, size_t bytes) const;
    std::map<const char *, size_t> allocations, adopted; // begin, bytes
    std::vector<uintptr_t> streams;
    std::map<std::string, long> launches;
    std::map<std::string, std::pair<unsigned, unsigned>> sizes;
    long allocated = 0, downloads = 0, notices = 0;
    Graph *recording = nullptr, late;
};

} // namespace so3krates::emulation
