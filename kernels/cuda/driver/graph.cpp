#include "cuda/driver/graph.h"

#include "cuda/device.h"

namespace so3krates::cuda {

Graph::Graph(std::shared_ptr<const Driver> driver, CUcontext context, CUstream stream,
             const std::function<void()> &work)
    : driver(std::move(driver)), context(context) {
    const Driver &d = *this->driver;
    if (stream == nullptr)
        throw DeviceError("the default stream cannot be recorded as a graph: give a stream of your own");
    ContextScope scope(d, context);
    // Other threads may go on allocating (torch does).
    d.check(d.streamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
    CUgraph graph = nullptr;
    try {
        work();
    } catch (...) {
        if (d.streamEndCapture(stream, &graph) == CUDA_SUCCESS && graph != nullptr)
            d.graphDestroy(graph);
        throw;
    }
    d.check(d.streamEndCapture(stream, &graph), "cuStreamEndCapture");
    const CUresult result = d.graphInstantiate(&executable, graph, 0);
    d.graphDestroy(graph); // the executable does not need it
    d.check(result, "cuGraphInstantiate");
}

Graph::~Graph() {
    try {
        ContextScope scope(*driver, context);
        driver->graphExecDestroy(executable);
    } catch (const DeviceError &) {
        // The context is gone, and the graph with it.
    }
}

void Graph::launch(CUstream stream) const {
    ContextScope scope(*driver, context);
    driver->check(driver->graphLaunch(executable, stream), "cuGraphLaunch");
}

} // namespace so3krates::cuda
