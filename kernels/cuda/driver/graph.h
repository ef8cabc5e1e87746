#pragma once
// A recorded sequence of launches, replayed as one (CUDA graph): small systems are bound by launches.

#include <functional>
#include <memory>

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

} // namespace so3krates::cuda
