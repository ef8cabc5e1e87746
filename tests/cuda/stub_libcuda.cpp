// A libcuda for tests: records every call, fails where told to, and checks what a driver would: contexts, handles, the
// rules of stream capture. "Device" memory is host memory, and one kernel, so3kTest, is computed at once.
// stub_set and the other stub_ functions are the test's side, called through ctypes.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cuda/device/self_test_arguments.h"

namespace {

enum {
    Success = 0,
    InvalidValue = 1,
    OutOfMemory = 2,
    InvalidDevice = 101,
    InvalidContext = 201,
    InvalidHandle = 400,
    NotFound = 500,
    CaptureUnsupported = 900,
    CaptureInvalidated = 901,
    CaptureUnjoined = 904,
    CaptureIsolation = 905,
    CapturedEvent = 907
};

struct Context {
    int device;
    int retained;
    bool isPrimary;
};
struct Graph {
    std::vector<std::function<void()>> nodes;
    bool isInvalid = false;
};
struct Stream {
    Context *context;
    bool isOurs = true;
    Graph *recording = nullptr;
    // Of a stream that has become part of the recording of another, by waiting for an event of its.
    bool isBranch = false, isJoined = false;
    size_t recorded = 0; // nodes so far
};
struct Event {
    Context *context;
    bool isRecorded = false;
    Graph *recording = nullptr; // it stands for a place in this one
    Stream *on = nullptr;       // and in this stream's work
    size_t place = 0;
};
struct Module {
    Context *context;
    std::string code;
};
struct Function {
    Module *module;
    std::string name;
};

std::string calls;
std::map<std::string, long> settings{
    {"version", 13000}, {"devices", 2}, {"capability", 90}, {"argument_bytes", 0}, {"free_bytes", 1l << 40}};
std::map<std::string, int> failures; // symbol -> code
std::map<int, Context> primary;
std::map<Context *, Stream> defaultStreams;
std::vector<Context *> current;
std::set<Context *> made;
std::set<Stream *> streams;
std::set<Module *> modules;
std::set<Function *> functions; // die with their module
std::set<Graph *> graphs, executables;
std::set<Event *> events;
std::set<void *> hostMemory;
std::map<char *, std::pair<size_t, Context *>> memory;

Context *now() { return current.empty() ? nullptr : current.back(); }

int enter(const char *symbol, const std::string &details = "") {
    calls += std::string(symbol) + (details.empty() ? "" : " " + details) + "\n";
    auto failure = failures.find(symbol);
    return failure == failures.end() ? Success : failure->second;
}

Stream *streamOf(void *handle) {
    if (handle == nullptr && now() != nullptr) {
        Stream &stream = defaultStreams[now()];
        stream.context = now();
        return &stream;
    }
    Stream *stream = static_cast<Stream *>(handle);
    return streams.count(stream) && stream->context == now() ? stream : nullptr;
}

bool isOwned(unsigned long long address, size_t bytes) {
    for (auto &[start, block] : memory)
        if (block.second == now() && address >= (unsigned long long)start &&
            address + bytes <= (unsigned long long)start + block.first)
            return true;
    return false;
}

int put(Stream *stream, std::function<void()> work) {
    if (stream->recording != nullptr) {
        stream->recording->nodes.push_back(work);
        stream->recorded++;
        stream->isJoined = false;
    } else {
        work();
    }
    return Success;
}

bool anyRecording() {
    for (Stream *stream : streams)
        if (stream->recording != nullptr) {
            stream->recording->isInvalid = true;
            return true;
        }
    return false;
}

bool isActive(const Graph *recording) {
    for (const Stream *stream : streams)
        if (stream->recording == recording)
            return true;
    return false;
}

void selfTest(const so3krates::cuda::SelfTestArguments &a, unsigned threads) {
    for (int i = 0; i < a.n && i < int(threads); i++)
        a.out[i] = a.factor * a.in[i] + i;
}

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))
#define ENTER(...)                                                                                                     \
    if (int code = enter(__func__, std::string(__VA_ARGS__)))                                                          \
        return code;
#define NEEDS_CONTEXT                                                                                                  \
    if (now() == nullptr)                                                                                              \
        return InvalidContext;
#define REQUIRE(condition, code)                                                                                       \
    if (!(condition))                                                                                                  \
        return code;

// --- the test's side
EXPORT void stub_set(const char *name, long value) { settings[name] = value; }
EXPORT void stub_fail(const char *symbol, int code) { failures[symbol] = code; }
EXPORT void stub_work_again() { failures.clear(); }
EXPORT const char *stub_calls() { return calls.c_str(); }
EXPORT void stub_forget_calls() { calls.clear(); }
EXPORT void *stub_make_context(int device) {
    Context *context = new Context{device, 0, false};
    made.insert(context);
    current.push_back(context);
    return context;
}
EXPORT void *stub_make_stream() { // in the current context, the caller's
    Stream *stream = new Stream{now(), false};
    streams.insert(stream);
    return stream;
}
EXPORT void *stub_current_context() { return now(); }
// What the library under test has made and not given back.
EXPORT const char *stub_leaks() {
    static std::string text;
    text.clear();
    auto count = [&](const char *what, size_t number) {
        if (number > 0)
            text += std::string(what) + " " + std::to_string(number) + "; ";
    };
    size_t retained = 0, ours = 0;
    for (auto &[device, context] : primary)
        retained += context.retained;
    for (Stream *stream : streams)
        ours += stream->isOurs;
    count("contexts", retained);
    count("streams", ours);
    count("modules", modules.size());
    count("memory", memory.size());
    count("host memory", hostMemory.size());
    count("events", events.size());
    count("graphs", graphs.size());
    count("executable graphs", executables.size());
    return text.c_str();
}

// --- the driver's side
EXPORT int cuInit(unsigned) {
    ENTER();
    return settings["devices"] == 0 ? 100 : Success;
}
EXPORT int cuDriverGetVersion(int *version) {
    ENTER();
    *version = int(settings["version"]);
    return Success;
}
EXPORT int cuGetErrorName(int code, const char **name) {
    static const std::map<int, const char *> names{{2, "CUDA_ERROR_OUT_OF_MEMORY"},
                                                   {34, "CUDA_ERROR_STUB_LIBRARY"},
                                                   {100, "CUDA_ERROR_NO_DEVICE"},
                                                   {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
                                                   {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
                                                   {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
                                                   {999, "CUDA_ERROR_UNKNOWN"}};
    auto found = names.find(code);
    *name = found == names.end() ? nullptr : found->second;
    return found == names.end() ? InvalidValue : Success;
}
EXPORT int cuGetErrorString(int code, const char **text) {
    *text = code == 700 ? "an illegal memory access was encountered" : nullptr;
    return *text == nullptr ? InvalidValue : Success;
}
EXPORT int cuDeviceGetCount(int *count) {
    ENTER();
    *count = int(settings["devices"]);
    return Success;
}
EXPORT int cuDeviceGet(int *device, int index) {
    ENTER(std::to_string(index));
    *device = index;
    return Success;
}
EXPORT int cuDeviceGetName(char *name, int size, int device) {
    ENTER();
    snprintf(name, size, "Stub GPU %d", device);
    return Success;
}
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int) {
    ENTER();
    REQUIRE(attribute == 16 || attribute == 75 || attribute == 76, InvalidValue);
    const long capability = settings["capability"];
    *value = int(attribute == 16 ? 2 : attribute == 75 ? capability / 10 : capability % 10);
    return Success;
}
EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int) {
    ENTER();
    *bytes = 24ul << 30;
    return Success;
}
EXPORT int cuDevicePrimaryCtxRetain(void **context, int device) {
    ENTER(std::to_string(device));
    Context &own = primary[device];
    own.device = device;
    own.isPrimary = true;
    own.retained++;
    *context = &own;
    return Success;
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int device) {
    ENTER(std::to_string(device));
    REQUIRE(primary[device].retained > 0, InvalidContext);
    primary[device].retained--;
    return Success;
}
EXPORT int cuCtxGetCurrent(void **context) {
    ENTER();
    *context = now();
    return Success;
}
EXPORT int cuCtxGetDevice(int *device) {
    ENTER();
    NEEDS_CONTEXT;
    *device = now()->device;
    return Success;
}
EXPORT int cuCtxPushCurrent_v2(void *context) {
    ENTER();
    Context *own = static_cast<Context *>(context);
    REQUIRE(made.count(own) || own->retained > 0, InvalidContext);
    current.push_back(own);
    return Success;
}
EXPORT int cuCtxPopCurrent_v2(void **context) {
    NEEDS_CONTEXT;
    *context = now();
    current.pop_back();
    ENTER();
    return Success;
}
EXPORT int cuModuleLoadData(void **module, const void *image) {
    ENTER(static_cast<const char *>(image));
    NEEDS_CONTEXT;
    Module *own = new Module{now(), static_cast<const char *>(image)};
    modules.insert(own);
    *module = own;
    return Success;
}
EXPORT int cuModuleUnload(void *module) {
    Module *own = static_cast<Module *>(module);
    REQUIRE(modules.count(own) && own->context == now(), InvalidHandle);
    modules.erase(own); // also when told to fail: tests then look for everything else
    ENTER();
    return Success;
}
EXPORT int cuModuleGetFunction(void **function, void *module, const char *name) {
    ENTER(name);
    Module *own = static_cast<Module *>(module);
    REQUIRE(modules.count(own) && own->context == now(), InvalidHandle);
    REQUIRE(std::string(name) == "so3kTest", NotFound);
    Function *found = new Function{own, name};
    functions.insert(found);
    *function = found;
    return Success;
}
EXPORT int cuFuncGetAttribute(int *value, int attribute, void *) {
    ENTER();
    REQUIRE(attribute == 1, InvalidValue);
    *value = int(settings["static_shared"]);
    return Success;
}
EXPORT int cuFuncSetAttribute(void *, int attribute, int value) {
    ENTER(std::to_string(attribute) + " " + std::to_string(value));
    REQUIRE(attribute == 8, InvalidValue);
    return Success;
}
EXPORT int cuStreamCreate(void **stream, unsigned flags) {
    ENTER(std::to_string(flags));
    NEEDS_CONTEXT;
    Stream *own = new Stream{now()};
    streams.insert(own);
    *stream = own;
    return Success;
}
EXPORT int cuStreamDestroy_v2(void *stream) {
    Stream *own = static_cast<Stream *>(stream);
    REQUIRE(streams.count(own) && own->context == now(), InvalidHandle);
    streams.erase(own);
    ENTER();
    return Success;
}
EXPORT int cuStreamSynchronize(void *stream) {
    ENTER();
    Stream *own = streamOf(stream);
    REQUIRE(own != nullptr, InvalidHandle);
    if (own->recording != nullptr) {
        own->recording->isInvalid = true;
        return CaptureUnsupported;
    }
    return Success;
}
EXPORT int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
    ENTER(std::to_string(bytes));
    NEEDS_CONTEXT;
    REQUIRE(!anyRecording(), CaptureUnsupported);
    REQUIRE(bytes > 0, InvalidValue);
    REQUIRE(long(bytes) <= settings["free_bytes"], OutOfMemory);
    char *block = static_cast<char *>(malloc(bytes));
    memset(block, 0xff, bytes);
    memory[block] = {bytes, now()};
    *address = (unsigned long long)block;
    return Success;
}
EXPORT int cuMemFree_v2(unsigned long long address) {
    char *block = (char *)address;
    REQUIRE(memory.count(block) && memory[block].second == now(), InvalidValue);
    memory.erase(block);
    free(block);
    ENTER();
    return Success;
}
EXPORT int cuMemGetInfo_v2(size_t *free, size_t *total) {
    ENTER();
    *free = size_t(settings["free_bytes"]);
    *total = 24ul << 30;
    return Success;
}
EXPORT int cuMemcpyHtoDAsync_v2(unsigned long long target, const void *host, size_t bytes, void *stream) {
    ENTER(std::to_string(bytes));
    REQUIRE(streamOf(stream) != nullptr, InvalidHandle);
    REQUIRE(isOwned(target, bytes), InvalidValue);
    return put(streamOf(stream), [=] { memcpy((void *)target, host, bytes); });
}
EXPORT int cuMemcpyDtoHAsync_v2(void *host, unsigned long long source, size_t bytes, void *stream) {
    ENTER(std::to_string(bytes));
    REQUIRE(streamOf(stream) != nullptr, InvalidHandle);
    REQUIRE(isOwned(source, bytes), InvalidValue);
    return put(streamOf(stream), [=] { memcpy(host, (void *)source, bytes); });
}
EXPORT int cuMemAllocHost_v2(void **pointer, size_t bytes) {
    ENTER(std::to_string(bytes));
    NEEDS_CONTEXT;
    REQUIRE(!anyRecording(), CaptureUnsupported);
    REQUIRE(bytes > 0, InvalidValue);
    *pointer = malloc(bytes);
    memset(*pointer, 0xff, bytes);
    hostMemory.insert(*pointer);
    return Success;
}
EXPORT int cuMemFreeHost(void *pointer) {
    NEEDS_CONTEXT;
    REQUIRE(hostMemory.erase(pointer) == 1, InvalidValue);
    free(pointer);
    ENTER();
    return Success;
}
EXPORT int cuEventCreate(void **event, unsigned flags) {
    ENTER(std::to_string(flags));
    NEEDS_CONTEXT;
    Event *own = new Event{now()};
    events.insert(own);
    *event = own;
    return Success;
}
EXPORT int cuEventDestroy_v2(void *event) {
    NEEDS_CONTEXT;
    REQUIRE(events.erase(static_cast<Event *>(event)) == 1, InvalidHandle);
    ENTER();
    return Success;
}
// Recorded into a graph without the flag for it, an event is not there for the host.
EXPORT int cuEventRecordWithFlags(void *event, void *stream, unsigned flags) {
    Event *own = static_cast<Event *>(event);
    Stream *on = streamOf(stream);
    ENTER(std::to_string(flags) + (on != nullptr && !on->isOurs ? " theirs" : ""));
    REQUIRE(events.count(own) && on != nullptr && own->context == now(), InvalidHandle);
    REQUIRE(flags == 0 || (flags == 1 && on->recording != nullptr), InvalidValue);
    if (on->recording != nullptr && flags == 0) {
        own->recording = on->recording;
        own->on = on;
        own->place = on->recorded;
        return Success;
    }
    own->recording = nullptr;
    return put(on, [=] { own->isRecorded = true; });
}
EXPORT int cuEventSynchronize(void *event) {
    ENTER();
    Event *own = static_cast<Event *>(event);
    REQUIRE(events.count(own) && own->context == now(), InvalidHandle);
    REQUIRE(!anyRecording(), CaptureUnsupported);
    if (!own->isRecorded) // the driver would return at once, and the caller read what is not there
        return InvalidValue;
    own->isRecorded = false;
    return Success;
}
EXPORT int cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
    ENTER(streamOf(stream) != nullptr && streamOf(stream)->isOurs ? "ours" : "theirs");
    Event *own = static_cast<Event *>(event);
    Stream *on = streamOf(stream);
    REQUIRE(events.count(own) && own->context == now() && flags == 0 && on != nullptr, InvalidHandle);
    if (own->recording != nullptr) {
        REQUIRE(isActive(own->recording), CapturedEvent);
        if (on->recording == nullptr) {
            REQUIRE(stream != nullptr, CaptureIsolation);
            on->recording = own->recording;
            on->isBranch = true;
        }
        REQUIRE(on->recording == own->recording, CaptureIsolation);
        own->on->isJoined = own->on->isBranch && own->place == own->on->recorded;
        return Success;
    }
    REQUIRE(on->recording == nullptr, CaptureIsolation);
    return own->isRecorded ? Success : InvalidValue; // the driver would not wait at all
}
EXPORT int cuMemcpyDtoDAsync_v2(unsigned long long target, unsigned long long source, size_t bytes, void *stream) {
    ENTER(std::to_string(bytes));
    REQUIRE(streamOf(stream) != nullptr, InvalidHandle);
    REQUIRE(isOwned(target, bytes) && isOwned(source, bytes), InvalidValue);
    return put(streamOf(stream), [=] { memcpy((void *)target, (void *)source, bytes); });
}
EXPORT int cuPointerGetAttribute(void *value, int attribute, unsigned long long address) {
    ENTER(std::to_string(attribute));
    REQUIRE(attribute == 9, InvalidValue);
    for (auto &[start, block] : memory)
        if (address >= (unsigned long long)start && address < (unsigned long long)start + block.first) {
            *static_cast<int *>(value) = block.second->device;
            return Success;
        }
    return InvalidValue;
}
EXPORT int cuMemsetD8Async(unsigned long long target, unsigned char value, size_t bytes, void *stream) {
    ENTER(std::to_string(bytes));
    REQUIRE(streamOf(stream) != nullptr, InvalidHandle);
    REQUIRE(isOwned(target, bytes), InvalidValue);
    return put(streamOf(stream), [=] { memset((void *)target, value, bytes); });
}
EXPORT int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned tx, unsigned ty, unsigned tz,
                          unsigned shared, void *stream, void **parameters, void **extra) {
    const size_t bytes = size_t(settings["argument_bytes"]);
    std::string arguments;
    for (size_t k = 0; k < bytes; k++) {
        char digits[3];
        snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char *>(parameters[0])[k]);
        arguments += digits;
    }
    char text[200];
    snprintf(text, sizeof text, "%ux%ux%u %ux%ux%u %u ", x, y, z, tx, ty, tz, shared);
    ENTER(text + arguments);
    Function *own = static_cast<Function *>(function);
    REQUIRE(functions.count(own) && own->module->context == now() && streamOf(stream) != nullptr, InvalidHandle);
    REQUIRE(extra == nullptr && x > 0 && tx > 0 && tx <= 1024 && shared <= (227u << 10), InvalidValue);
    if (bytes != sizeof(so3krates::cuda::SelfTestArguments))
        return Success;
    so3krates::cuda::SelfTestArguments copy;
    memcpy(&copy, parameters[0], bytes);
    return put(streamOf(stream), [=] { selfTest(copy, x * tx); });
}
EXPORT int cuStreamBeginCapture_v2(void *stream, int mode) {
    ENTER(std::to_string(mode));
    Stream *own = streamOf(stream);
    REQUIRE(own != nullptr && stream != nullptr && own->recording == nullptr, CaptureUnsupported);
    own->recording = new Graph;
    own->isBranch = false;
    return Success;
}
EXPORT int cuStreamEndCapture(void *stream, void **graph) {
    Stream *own = streamOf(stream);
    REQUIRE(own != nullptr && own->recording != nullptr && !own->isBranch, InvalidValue);
    Graph *recorded = own->recording;
    own->recording = nullptr;
    int code = enter(__func__);
    if (code == Success && recorded->isInvalid)
        code = CaptureInvalidated;
    for (Stream *branch : streams)
        if (branch->recording == recorded) {
            if (code == Success && !branch->isJoined)
                code = CaptureUnjoined;
            branch->recording = nullptr;
            branch->isBranch = false;
        }
    if (code != Success) { // never deleted: events point to it
        *graph = nullptr;
        return code;
    }
    graphs.insert(recorded);
    *graph = recorded;
    return Success;
}
EXPORT int cuStreamGetCaptureInfo_v2(void *stream, int *status, unsigned long long *, void **, const void **,
                                     size_t *) {
    ENTER();
    REQUIRE(streamOf(stream) != nullptr, InvalidHandle);
    *status = streamOf(stream)->recording != nullptr;
    return Success;
}
// What hangs on graphs is told by stub_gpu.cpp.
EXPORT int cuUserObjectCreate(void **, void *, void (*)(void *), unsigned, unsigned) { return InvalidValue; }
EXPORT int cuGraphRetainUserObject(void *, void *, unsigned, unsigned) { return InvalidValue; }
EXPORT int cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
    ENTER(std::to_string(flags));
    Graph *own = static_cast<Graph *>(graph);
    REQUIRE(graphs.count(own), InvalidValue);
    Graph *copy = new Graph(*own);
    executables.insert(copy);
    *executable = copy;
    return Success;
}
EXPORT int cuGraphDestroy(void *graph) {
    REQUIRE(graphs.erase(static_cast<Graph *>(graph)) == 1, InvalidValue);
    ENTER();
    return Success;
}
EXPORT int cuGraphLaunch(void *executable, void *stream) {
    ENTER();
    Graph *own = static_cast<Graph *>(executable);
    REQUIRE(executables.count(own) && streamOf(stream) != nullptr, InvalidHandle);
    for (auto &node : own->nodes)
        node();
    return Success;
}
#ifndef STUB_WITHOUT_GRAPHS
EXPORT int cuGraphExecDestroy(void *executable) {
    REQUIRE(executables.erase(static_cast<Graph *>(executable)) == 1, InvalidValue);
    ENTER();
    return Success;
}
#endif
