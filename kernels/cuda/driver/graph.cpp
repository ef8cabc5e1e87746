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

std::optional<CallersRecording> recordingOn(void *stream) {
    if (!stream) // the default stream is never recorded, and asking would need a current context
        return std::nullopt;
    const std::shared_ptr<const Driver> driver = Driver::get();
    int status = CU_STREAM_CAPTURE_STATUS_NONE;
    CallersRecording recording{};
    driver->check(driver->streamGetCaptureInfo(static_cast<CUstream>(stream), &status, &recording.number,
                                               &recording.graph, nullptr, nullptr),
                  "cuStreamGetCaptureInfo");
    if (status == CU_STREAM_CAPTURE_STATUS_NONE)
        return std::nullopt;
    if (status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
        throw DeviceError("the CUDA graph that is recorded on this stream has failed already, at a call before");
    return recording;
}

std::shared_ptr<const std::atomic<bool>> endOf(const CallersRecording &recording) {
    const std::shared_ptr<const Driver> driver = Driver::get();
    using Flag = std::shared_ptr<std::atomic<bool>>;
    auto flag = std::make_unique<Flag>(std::make_shared<std::atomic<bool>>(false));
    const Flag seen = *flag;
    // Called on a thread of the driver's, where no function of the driver may be called.
    const auto ended = [](void *pointer) {
        const std::unique_ptr<Flag> own(static_cast<Flag *>(pointer));
        (*own)->store(true);
    };
    CUuserObject object = nullptr;
    driver->check(driver->userObjectCreate(&object, flag.get(), ended, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC),
                  "cuUserObjectCreate");
    flag.release(); // the object's
    driver->check(driver->graphRetainUserObject(recording.graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE),
                  "cuGraphRetainUserObject");
    return seen;
}

} // namespace so3krates::cuda
