#pragma once
// A recorded sequence of launches, replayed as one (CUDA graph): small systems are bound by launches.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "cuda/driver/driver.h"

namespace so3krates::cuda {

class Graph {
public:
    // Records what `work` puts on the stream, which must not be the default stream; nothing runs. Kernels, copies
    // between device memory and clears may be recorded, with their pointers and arguments as they are now; allocations
    // and waits may not. If `work` throws, the recording is dropped and the exception goes on. Throws DeviceError.
    Graph(std::shared_ptr<const Driver> driver, CUcontext context, CUstream stream, const std::function<void()> &work);
    ~Graph();
    Graph(const Graph &) = delete;

    // Runs all of it, in order, after what is on the stream.
    void launch(CUstream stream) const;

private:
    std::shared_ptr<const Driver> driver;
    CUcontext context;
    CUgraphExec executable = nullptr;
};

// Somebody else's recording of a graph.
struct CallersRecording {
    unsigned long long number; // no other in this process has it
    CUgraph graph;
};
// The one that the caller's `stream` is part of, if any. Throws DeviceError: one that has failed already.
std::optional<CallersRecording> recordingOn(void *stream);

// A flag that turns true when the caller's graph, and whatever was instantiated from it, is gone and no longer runs.
std::shared_ptr<const std::atomic<bool>> endOf(const CallersRecording &recording);

} // namespace so3krates::cuda
