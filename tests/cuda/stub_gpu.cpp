// A libcuda with a pretended GPU that OpenMM's CUDA platform can make Contexts on, and for the torch operators
// (stub_torch.cpp): device memory is host memory, the
// engine's kernels are executed by an emulated module (tests/cuda_emulation), and of OpenMM's own those that a Context
// at rest needs. Keeps the driver's rules of contexts, streams and capture; what breaks them is an error of the call.
//
// SO3KRATES_EMULATED: the library of the emulated module. SO3KRATES_NO_GPU: there is no GPU. SO3KRATES_LATE_GRAPHS:
// graphs run when something else is to be done or the stream is waited for, and their events do not wait. stub_
// functions are the test's side.

#include <dlfcn.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

enum { Success = 0, InvalidValue = 1, InvalidContext = 201, FileNotFound = 301, InvalidHandle = 400, NotFound = 500 };
enum { LaunchFailed = 719, CaptureUnsupported = 900 };

struct Context {};
struct UserObject {
    void *pointer;
    void (*destroy)(void *);
    ~UserObject() { destroy(pointer); }
};
struct Graph {
    std::vector<std::function<int()>> nodes;
    std::vector<std::shared_ptr<UserObject>> objects; // an executable has them, too
    unsigned long long number = 0;                    // of the capture
};
struct Stream {
    Context *context;
    unsigned flags;
    Graph *recording;
    // Of a stream that has become part of the recording of another, by waiting for an event of its.
    bool isBranch = false, isJoined = false;
    size_t recorded = 0; // nodes so far
};
struct Module {
    Context *context;
};
struct Function {
    Module *module;
    std::string name;
};
struct Event {
    Context *context;
    Graph *recording = nullptr; // it stands for a place in this one, and the host cannot wait for it
    Stream *on = nullptr;       // a place in this stream's work
    size_t place = 0;
};
struct Emulation {
    size_t (*argumentBytes)(const char *);
    int (*launch)(const char *, unsigned, unsigned, size_t, const void *);
};

std::set<Context *> contexts;
std::vector<Context *> current;
std::set<Stream *> streams;
std::set<Module *> modules;
std::set<Function *> functions; // die with their module
std::set<Graph *> graphs, executables;
std::set<Event *> events;
std::map<char *, std::pair<size_t, Context *>> memory;
std::map<void *, std::shared_ptr<UserObject>> userObjects; // of no graph yet
std::set<void *> hostMemory;
Graph late;
std::map<std::string, long> counts; // calls by symbol, launches by kernel
std::string firstError;             // the first call that broke a rule

Context *now() { return current.empty() ? nullptr : current.back(); }

int fail(const char *symbol, const char *condition, int code) {
    if (firstError.empty())
        firstError = std::string(symbol) + ": " + condition;
    return code;
}

Emulation &emulation() {
    static Emulation found = [] {
        Emulation e{};
        const char *path = getenv("SO3KRATES_EMULATED");
        void *library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
        if (library) {
            e.argumentBytes = reinterpret_cast<size_t (*)(const char *)>(dlsym(library, "emulatedArgumentBytes"));
            e.launch = reinterpret_cast<int (*)(const char *, unsigned, unsigned, size_t, const void *)>(
                dlsym(library, "emulatedLaunch"));
        } else {
            fprintf(stderr, "SO3KRATES_EMULATED: %s\n", path ? dlerror() : "not set");
        }
        return e;
    }();
    return found;
}

// One block, of the context that is current.
bool owns(const void *pointer, size_t bytes) {
    char *begin = static_cast<char *>(const_cast<void *>(pointer));
    auto after = memory.upper_bound(begin);
    if (after == memory.begin())
        return false;
    const auto &[start, block] = *--after;
    return block.second == now() && begin + bytes <= start + block.first;
}
bool owns(unsigned long long address, size_t bytes) { return owns(reinterpret_cast<void *>(address), bytes); }

// Of the context that is current; null: the default stream.
bool isStream(void *stream) {
    Stream *own = static_cast<Stream *>(stream);
    return now() != nullptr && (own == nullptr || (streams.count(own) && own->context == now()));
}
Stream *capturing() {
    for (Stream *stream : streams)
        if (stream->recording)
            return stream;
    return nullptr;
}
// Work on the default stream waits for all streams but the non-blocking ones, so it must not meet a capture on others.
bool mayWork(void *stream) {
    const Stream *captured = capturing(), *own = static_cast<Stream *>(stream);
    return !captured || (own && own->recording) || (captured->flags & 1);
}
int catchUp() {
    const Graph graph = std::move(late);
    late.nodes.clear();
    for (const auto &node : graph.nodes)
        if (int code = node())
            return code;
    return Success;
}
int put(void *stream, std::function<int()> work) {
    Stream *own = static_cast<Stream *>(stream);
    if (own && own->recording) {
        own->recording->nodes.push_back(std::move(work));
        own->recorded++;
        own->isJoined = false;
        return Success;
    }
    const int code = catchUp();
    return code ? code : work();
}

template <class T> T argument(void **arguments, int index) {
    T value;
    memcpy(&value, arguments[index], sizeof value);
    return value;
}

// OpenMM's kernels that matter to a Context at rest, in double precision. False: not known.
bool runOpenMM(const std::string &name, void **a) {
    static const std::map<std::string, int> clears{{"clearBuffer", 1},       {"clearTwoBuffers", 2},
                                                   {"clearThreeBuffers", 3}, {"clearFourBuffers", 4},
                                                   {"clearFiveBuffers", 5},  {"clearSixBuffers", 6}};
    if (auto found = clears.find(name); found != clears.end()) {
        for (int k = 0; k < found->second; k++)
            memset(argument<void *>(a, 2 * k), 0, 4ul * argument<int>(a, 2 * k + 1));
        return true;
    }
    if (name == "reduceEnergy") {
        const double *energies = argument<double *>(a, 0);
        double *sums = argument<double *>(a, 1);
        sums[0] = 0;
        for (int k = 0; k < argument<int>(a, 2); k++)
            sums[0] += energies[k];
        for (int k = 1; k < 2; k++) // as many as there are multiprocessors
            sums[k] = 0;
        return true;
    }
    if (name == "copyDoubleBuffer") { // [atoms][3] into [atoms][4]
        for (int i = 0; i < argument<int>(a, 2); i++)
            memcpy(argument<double *>(a, 1) + 4 * i, argument<double *>(a, 0) + 3 * i, 3 * sizeof(double));
        return true;
    }
    // Ours, compiled by OpenMM: region_arrays.cpp.
    if (name == "gatherRegion") {
        const double *posq = argument<double *>(a, 0);
        const int *atomIndex = argument<int *>(a, 1), *rows = argument<int *>(a, 2);
        double *positions = argument<double *>(a, 3);
        const long atoms = counts["atoms"];
        if (!owns(positions, 8))
            return false;
        for (long i = 0; i < atoms; i++)
            for (int k = 0; k < 3; k++)
                if (rows[atomIndex[i]] >= 0)
                    positions[3 * rows[atomIndex[i]] + k] = 10 * posq[4 * i + k];
        return true;
    }
    if (name == "scatterRegion") {
        long long *buffers = argument<long long *>(a, 0);
        const int *atomIndex = argument<int *>(a, 1), *rows = argument<int *>(a, 2);
        const double *forces = argument<double *>(a, 3);
        const double factor = argument<double>(a, 4);
        const long atoms = counts["atoms"], padded = (atoms + 31) / 32 * 32;
        if (!owns(forces, 8))
            return false;
        for (long i = 0; i < atoms; i++)
            for (int k = 0; k < 3; k++)
                if (rows[atomIndex[i]] >= 0)
                    buffers[i + k * padded] += (long long)(factor * forces[3 * rows[atomIndex[i]] + k]);
        return true;
    }
    return false;
}

int run(const std::string &name, unsigned blocks, unsigned threads, size_t shared, void **arguments, void *stream) {
    counts[name]++;
    Emulation &e = emulation();
    const size_t bytes = e.argumentBytes ? e.argumentBytes(name.c_str()) : 0;
    if (bytes == 0) {
        if (stream != nullptr)
            return fail("cuLaunchKernel", "OpenMM's kernels run on the default stream", InvalidHandle);
        const int code = catchUp();
        runOpenMM(name, arguments);
        return code;
    }
    std::vector<char> copy(bytes);
    memcpy(copy.data(), arguments[0], bytes);
    return put(stream, [=] {
        return e.launch(name.c_str(), blocks, threads, shared, copy.data()) == 0
                   ? int(Success)
                   : fail("cuLaunchKernel", name.c_str(), LaunchFailed);
    });
}

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))
#define ENTER counts[__func__]++
#define REQUIRE(condition, code)                                                                                       \
    if (!(condition))                                                                                                  \
        return fail(__func__, #condition, code);

// --- the test's side
EXPORT void stub_set_atoms(long atoms) { counts["atoms"] = atoms; }
EXPORT long stub_count(const char *name) { return counts[name]; }
EXPORT const char *stub_first_error() { return firstError.c_str(); }
EXPORT long stub_memory_blocks() { return long(memory.size()); }
EXPORT long stub_current_contexts() { return long(current.size()); }
EXPORT const char *stub_leaks() {
    static std::string text;
    std::ostringstream all;
    const auto count = [&](const char *what, size_t number) {
        if (number)
            all << what << " " << number << "; ";
    };
    count("contexts", contexts.size());
    count("streams", streams.size());
    count("modules", modules.size());
    count("memory", memory.size());
    count("host memory", hostMemory.size());
    count("events", events.size());
    count("graphs", graphs.size());
    count("executable graphs", executables.size());
    return (text = all.str()).c_str();
}

// --- the driver's side
EXPORT int cuInit(unsigned) { return getenv("SO3KRATES_NO_GPU") ? 100 : Success; }
EXPORT int cuDriverGetVersion(int *version) {
    *version = 13000;
    return Success;
}
EXPORT int cuGetErrorName(int code, const char **name) {
    static std::string text;
    *name = (text = "error " + std::to_string(code)).c_str();
    return Success;
}
EXPORT int cuGetErrorString(int, const char **text) {
    *text = firstError.c_str();
    return Success;
}
EXPORT int cuDeviceGetCount(int *count) {
    *count = 1;
    return Success;
}
EXPORT int cuDeviceGet(int *device, int) {
    *device = 0;
    return Success;
}
EXPORT int cuDeviceGetName(char *name, int size, int) {
    snprintf(name, size, "Pretended GPU");
    return Success;
}
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int) {
    const std::map<int, int> known{{16, 2}, {75, 9}, {76, 0}}; // multiprocessors, compute capability
    auto found = known.find(attribute);
    *value = found == known.end() ? 1024 : found->second;
    return Success;
}
EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int) {
    *bytes = 1ul << 34;
    return Success;
}
EXPORT int cuDeviceCanAccessPeer(int *can, int, int) {
    *can = 0;
    return Success;
}
EXPORT int cuDevicePrimaryCtxRetain(void **, int) {
    return fail(__func__, "the engine belongs into OpenMM's context", InvalidContext);
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int) { return Success; }
EXPORT int cuCtxCreate_v2(void **context, unsigned, int) {
    Context *own = new Context;
    contexts.insert(own);
    current.push_back(own);
    *context = own;
    return Success;
}
EXPORT int cuCtxCreate_v4(void **context, void *, unsigned flags, int device) {
    return cuCtxCreate_v2(context, flags, device);
}
EXPORT int cuCtxDestroy_v2(void *context) {
    Context *own = static_cast<Context *>(context);
    REQUIRE(contexts.erase(own), InvalidContext);
    // Everything of the driver's goes with it; what the engine has made should be gone by now.
    for (auto m = modules.begin(); m != modules.end();)
        m = (*m)->context == own ? modules.erase(m) : std::next(m);
    for (auto m = memory.begin(); m != memory.end();)
        m = m->second.second == own ? memory.erase(m) : std::next(m);
    for (Stream *stream : streams)
        REQUIRE(stream->context != own, InvalidContext);
    return Success;
}
EXPORT int cuCtxEnablePeerAccess(void *, unsigned) { return Success; }
EXPORT int cuCtxSetCacheConfig(int) { return Success; }
EXPORT int cuCtxSetCurrent(void *context) {
    if (current.empty())
        current.push_back(nullptr);
    current.back() = static_cast<Context *>(context);
    return Success;
}
EXPORT int cuCtxGetCurrent(void **context) {
    *context = now();
    return Success;
}
EXPORT int cuCtxGetDevice(int *device) {
    REQUIRE(now(), InvalidContext);
    *device = 0;
    return Success;
}
EXPORT int cuCtxPushCurrent_v2(void *context) {
    REQUIRE(contexts.count(static_cast<Context *>(context)), InvalidContext);
    current.push_back(static_cast<Context *>(context));
    return Success;
}
EXPORT int cuCtxPopCurrent_v2(void **context) {
    REQUIRE(!current.empty(), InvalidContext);
    *context = now();
    current.pop_back();
    return Success;
}
EXPORT int cuCtxSynchronize() {
    REQUIRE(now() && !capturing(), CaptureUnsupported);
    return catchUp();
}
EXPORT int cuProfilerStop() { return Success; }
EXPORT int cuModuleLoadData(void **module, const void *) {
    REQUIRE(now() && !capturing(), InvalidContext);
    Module *own = new Module{now()};
    modules.insert(own);
    *module = own;
    return Success;
}
EXPORT int cuModuleLoadDataEx(void **module, const void *image, unsigned, void *, void **) {
    return cuModuleLoadData(module, image);
}
EXPORT int cuModuleLoad(void **module, const char *file) {
    if (!std::ifstream(file))
        return FileNotFound;
    return cuModuleLoadData(module, nullptr);
}
EXPORT int cuModuleUnload(void *module) {
    ENTER;
    Module *own = static_cast<Module *>(module);
    REQUIRE(modules.count(own) && own->context == now(), InvalidHandle);
    modules.erase(own);
    return Success;
}
EXPORT int cuModuleGetFunction(void **function, void *module, const char *name) {
    Module *own = static_cast<Module *>(module);
    REQUIRE(modules.count(own) && own->context == now() && !capturing(), InvalidHandle);
    Function *found = new Function{own, name};
    functions.insert(found);
    *function = found;
    return Success;
}
EXPORT int cuFuncGetAttribute(int *value, int attribute, void *) {
    *value = attribute == 0 ? 1024 : 0; // threads per block; static shared memory
    return Success;
}
EXPORT int cuFuncSetAttribute(void *, int, int) { return Success; }
EXPORT int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threadsY,
                          unsigned threadsZ, unsigned shared, void *stream, void **arguments, void **) {
    Function *own = static_cast<Function *>(function);
    REQUIRE(functions.count(own) && modules.count(own->module) && own->module->context == now(), InvalidHandle);
    REQUIRE(isStream(stream) && mayWork(stream), CaptureUnsupported);
    REQUIRE(x > 0 && y == 1 && z == 1 && threads > 0 && threads <= 1024 && threadsY == 1 && threadsZ == 1,
            InvalidValue);
    return run(own->name, x, threads, shared, arguments, stream);
}
EXPORT int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
    REQUIRE(now() && bytes > 0, InvalidValue);
    REQUIRE(!capturing(), CaptureUnsupported);
    char *block = static_cast<char *>(malloc(bytes));
    memset(block, 0xff, bytes);
    memory[block] = {bytes, now()};
    *address = reinterpret_cast<unsigned long long>(block);
    return Success;
}
EXPORT int cuMemFree_v2(unsigned long long address) {
    auto block = memory.find(reinterpret_cast<char *>(address));
    REQUIRE(block != memory.end() && block->second.second == now() && !capturing(), InvalidValue);
    free(block->first);
    memory.erase(block);
    return Success;
}
EXPORT int cuPointerGetAttribute(void *value, int attribute, unsigned long long address) {
    REQUIRE(attribute == 9 && owns(address, 1), InvalidValue);
    *static_cast<int *>(value) = 0;
    return Success;
}
EXPORT int cuMemGetInfo_v2(size_t *available, size_t *total) {
    *available = *total = 1ul << 34;
    return Success;
}
EXPORT int cuMemAllocHost_v2(void **address, size_t bytes) {
    REQUIRE(now() && !capturing(), CaptureUnsupported);
    *address = malloc(bytes);
    hostMemory.insert(*address);
    return Success;
}
EXPORT int cuMemHostAlloc(void **address, size_t bytes, unsigned) { return cuMemAllocHost_v2(address, bytes); }
EXPORT int cuMemHostGetDevicePointer_v2(unsigned long long *address, void *host, unsigned) {
    *address = reinterpret_cast<unsigned long long>(host);
    return Success;
}
EXPORT int cuMemFreeHost(void *address) {
    REQUIRE(hostMemory.erase(address), InvalidValue);
    free(address);
    return Success;
}
EXPORT int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream) {
    REQUIRE(isStream(stream) && !capturing() && owns(to, bytes), InvalidValue);
    const int code = catchUp();
    memcpy(reinterpret_cast<void *>(to), from, bytes);
    return code;
}
EXPORT int cuMemcpyHtoD_v2(unsigned long long to, const void *from, size_t bytes) {
    return cuMemcpyHtoDAsync_v2(to, from, bytes, nullptr);
}
EXPORT int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) {
    REQUIRE(isStream(stream) && mayWork(stream) && owns(from, bytes), InvalidValue);
    return put(stream, [=] {
        memcpy(to, reinterpret_cast<void *>(from), bytes);
        return int(Success);
    });
}
EXPORT int cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t bytes) {
    REQUIRE(!capturing(), CaptureUnsupported);
    return cuMemcpyDtoHAsync_v2(to, from, bytes, nullptr);
}
EXPORT int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t bytes, void *stream) {
    REQUIRE(isStream(stream) && owns(to, bytes) && owns(from, bytes), InvalidValue);
    const int code = catchUp();
    memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes);
    return code;
}
EXPORT int cuMemcpyAsync(unsigned long long to, unsigned long long from, size_t bytes, void *stream) {
    return cuMemcpyDtoDAsync_v2(to, from, bytes, stream);
}
EXPORT int cuMemsetD8Async(unsigned long long to, unsigned char value, size_t bytes, void *stream) {
    REQUIRE(isStream(stream) && mayWork(stream) && owns(to, bytes), InvalidValue);
    return put(stream, [=] {
        memset(reinterpret_cast<void *>(to), value, bytes);
        return int(Success);
    });
}
EXPORT int cuStreamCreate(void **stream, unsigned flags) {
    REQUIRE(now() && !capturing(), InvalidContext);
    Stream *own = new Stream{now(), flags, nullptr};
    streams.insert(own);
    *stream = own;
    return Success;
}
EXPORT int cuStreamDestroy_v2(void *stream) {
    REQUIRE(stream != nullptr && isStream(stream), InvalidHandle);
    streams.erase(static_cast<Stream *>(stream));
    return Success;
}
EXPORT int cuStreamSynchronize(void *stream) {
    REQUIRE(isStream(stream) && !capturing(), CaptureUnsupported);
    return catchUp();
}
EXPORT int cuStreamWaitEvent(void *stream, void *event, unsigned) {
    Event *of = static_cast<Event *>(event);
    Stream *own = static_cast<Stream *>(stream);
    REQUIRE(isStream(stream) && events.count(of), InvalidHandle);
    if (!of->recording) {
        REQUIRE(!own || !own->recording, CaptureUnsupported);
        return Success;
    }
    REQUIRE(own && capturing() && capturing()->recording == of->recording, CaptureUnsupported);
    if (!own->recording) {
        own->recording = of->recording;
        own->isBranch = true;
    }
    of->on->isJoined = of->on->isBranch && of->place == of->on->recorded;
    return Success;
}
EXPORT int cuStreamBeginCapture_v2(void *stream, int mode) {
    Stream *own = static_cast<Stream *>(stream);
    REQUIRE(own != nullptr && isStream(stream) && !capturing() && mode == 1, CaptureUnsupported);
    ENTER;
    static unsigned long long captures = 0;
    own->recording = new Graph;
    own->recording->number = ++captures;
    return Success;
}
EXPORT int cuStreamGetCaptureInfo_v2(void *stream, int *status, unsigned long long *number, void **graph, const void **,
                                     size_t *) {
    const Stream *own = static_cast<Stream *>(stream);
    REQUIRE(isStream(stream), InvalidHandle);
    *status = own && own->recording;
    if (*status) {
        *number = own->recording->number;
        *graph = own->recording;
    }
    return Success;
}
EXPORT int cuUserObjectCreate(void **object, void *pointer, void (*destroy)(void *), unsigned count, unsigned flags) {
    REQUIRE(count == 1 && flags == 1, InvalidValue);
    auto own = std::shared_ptr<UserObject>(new UserObject{pointer, destroy});
    *object = own.get();
    userObjects[own.get()] = own;
    return Success;
}
EXPORT int cuGraphRetainUserObject(void *graph, void *object, unsigned count, unsigned flags) {
    const auto found = userObjects.find(object);
    REQUIRE(found != userObjects.end() && count == 1 && flags == 1, InvalidValue); // moved
    static_cast<Graph *>(graph)->objects.push_back(found->second);
    userObjects.erase(found);
    return Success;
}
EXPORT int cuStreamEndCapture(void *stream, void **graph) {
    Stream *own = static_cast<Stream *>(stream);
    REQUIRE(isStream(stream) && own && own->recording && !own->isBranch, InvalidHandle);
    Graph *recorded = own->recording;
    graphs.insert(recorded);
    *graph = recorded;
    own->recording = nullptr;
    for (Stream *branch : streams)
        if (branch->recording == recorded) {
            REQUIRE(branch->isJoined, InvalidValue);
            branch->recording = nullptr;
            branch->isBranch = false;
        }
    return Success;
}
EXPORT int cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long) {
    REQUIRE(graphs.count(static_cast<Graph *>(graph)), InvalidHandle);
    Graph *own = new Graph(*static_cast<Graph *>(graph));
    executables.insert(own);
    *executable = own;
    return Success;
}
EXPORT int cuGraphDestroy(void *graph) {
    REQUIRE(graphs.erase(static_cast<Graph *>(graph)), InvalidHandle);
    delete static_cast<Graph *>(graph);
    return Success;
}
EXPORT int cuGraphLaunch(void *executable, void *stream) {
    Graph *own = static_cast<Graph *>(executable);
    REQUIRE(executables.count(own) && isStream(stream) && mayWork(stream), InvalidHandle);
    ENTER;
    const int code = catchUp();
    late = *own;
    return code || getenv("SO3KRATES_LATE_GRAPHS") ? code : catchUp();
}
EXPORT int cuGraphExecDestroy(void *executable) {
    REQUIRE(executables.erase(static_cast<Graph *>(executable)), InvalidHandle);
    delete static_cast<Graph *>(executable);
    return Success;
}
EXPORT int cuEventCreate(void **event, unsigned) {
    REQUIRE(now(), InvalidContext);
    Event *own = new Event{now()};
    events.insert(own);
    *event = own;
    return Success;
}
EXPORT int cuEventDestroy_v2(void *event) {
    REQUIRE(events.erase(static_cast<Event *>(event)), InvalidHandle);
    return Success;
}
EXPORT int cuEventRecordWithFlags(void *event, void *stream, unsigned flags) {
    REQUIRE(events.count(static_cast<Event *>(event)) && isStream(stream) && mayWork(stream), InvalidHandle);
    const Stream *own = static_cast<Stream *>(stream);
    const bool isRecording = own && own->recording;
    REQUIRE(flags == 0 || (flags == 1 && isRecording), InvalidValue); // in graphs the host can wait for the latter only
    Event *place = static_cast<Event *>(event);
    place->recording = isRecording && flags == 0 ? own->recording : nullptr;
    place->on = static_cast<Stream *>(stream);
    place->place = isRecording ? own->recorded : 0;
    return Success;
}
EXPORT int cuEventRecord(void *event, void *stream) { return cuEventRecordWithFlags(event, stream, 0); }
EXPORT int cuEventSynchronize(void *event) {
    REQUIRE(events.count(static_cast<Event *>(event)) && !capturing(), CaptureUnsupported);
    REQUIRE(!static_cast<Event *>(event)->recording, InvalidValue);
    return Success;
}
