#include "cuda/driver/nvrtc.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>

#include "cuda/device.h"
#include "cuda/driver/shared_library.h"
#include "cuda/kernel_sources.h"

namespace so3krates::cuda {

// As in nvrtc.h, which is not needed to build.
struct NvrtcFunctions {
    using Program = void *;
    const char *(*getErrorString)(int);
    int (*version)(int *, int *);
    int (*getNumSupportedArchs)(int *);
    int (*getSupportedArchs)(int *);
    int (*createProgram)(Program *, const char *source, const char *name, int, const char *const *headers,
                         const char *const *includeNames);
    int (*compileProgram)(Program, int, const char *const *options);
    int (*getProgramLogSize)(Program, size_t *);
    int (*getProgramLog)(Program, char *);
    int (*getCUBINSize)(Program, size_t *);
    int (*getCUBIN)(Program, char *);
    int (*getPTXSize)(Program, size_t *);
    int (*getPTX)(Program, char *);
    int (*destroyProgram)(Program *);

    void check(int result, const char *call) const {
        if (result != 0)
            throw DeviceError(std::string(call) + " failed: " + getErrorString(result));
    }
};

namespace {

template <class F> void find(const SharedLibrary &library, F &function, const char *name) {
    function = reinterpret_cast<F>(library.symbol(name));
    if (function == nullptr)
        throw DeviceError(library.path() + " is no NVRTC of CUDA 12 or newer: it has no " + name +
                          ". pip install nvidia-cuda-nvrtc");
}

// NVRTC opens its builtins by bare name, which fails outside of the loader's folders unless they are open already.
void openBuiltins(const std::filesystem::path &library) {
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator(library.parent_path(), error)) {
        const std::string name = entry.path().filename().string();
        if (name.rfind("libnvrtc-builtins.so", 0) == 0)
            SharedLibrary builtins(entry.path().string()); // one that does not open is NVRTC's to complain about
    }
}

} // namespace

std::string Target::name() const { return (ptx ? "compute_" : "sm_") + std::to_string(architecture); }

Nvrtc::~Nvrtc() = default;

std::shared_ptr<const Nvrtc> Nvrtc::open(const std::string &path) {
    static std::mutex mutex;
    static std::map<std::string, std::shared_ptr<const Nvrtc>> opened;
    std::lock_guard<std::mutex> lock(mutex);
    if (auto known = opened.find(path); known != opened.end())
        return known->second;
    if (path.find('/') != std::string::npos)
        openBuiltins(path);
    const SharedLibrary library(path);
    if (!library.isOpen())
        throw DeviceError("NVRTC cannot be opened: " + library.error());
    std::shared_ptr<Nvrtc> nvrtc(new Nvrtc);
    nvrtc->functions = std::make_unique<NvrtcFunctions>();
    NvrtcFunctions &f = *nvrtc->functions;
    find(library, f.getErrorString, "nvrtcGetErrorString");
    find(library, f.version, "nvrtcVersion");
    find(library, f.getNumSupportedArchs, "nvrtcGetNumSupportedArchs");
    find(library, f.getSupportedArchs, "nvrtcGetSupportedArchs");
    find(library, f.createProgram, "nvrtcCreateProgram");
    find(library, f.compileProgram, "nvrtcCompileProgram");
    find(library, f.getProgramLogSize, "nvrtcGetProgramLogSize");
    find(library, f.getProgramLog, "nvrtcGetProgramLog");
    find(library, f.getCUBINSize, "nvrtcGetCUBINSize");
    find(library, f.getCUBIN, "nvrtcGetCUBIN");
    find(library, f.getPTXSize, "nvrtcGetPTXSize");
    find(library, f.getPTX, "nvrtcGetPTX");
    find(library, f.destroyProgram, "nvrtcDestroyProgram");
    nvrtc->file = library.path();
    f.check(f.version(&nvrtc->major, &nvrtc->minor), "nvrtcVersion");
    int count = 0;
    f.check(f.getNumSupportedArchs(&count), "nvrtcGetNumSupportedArchs");
    nvrtc->supported.resize(count);
    f.check(f.getSupportedArchs(nvrtc->supported.data()), "nvrtcGetSupportedArchs");
    std::sort(nvrtc->supported.begin(), nvrtc->supported.end());
    return opened[path] = nvrtc;
}

std::string Nvrtc::version() const { return std::to_string(major) + "." + std::to_string(minor); }

Target Nvrtc::target(int computeCapability) const {
    Target target;
    for (int architecture : supported)
        if (architecture <= computeCapability)
            target.architecture = architecture;
    target.ptx = target.architecture / 10 != computeCapability / 10;
    return target;
}

std::vector<std::string> Nvrtc::options(const Target &target, bool report) const {
    std::vector<std::string> options{"--gpu-architecture=" + target.name(), "--std=c++17",
                                     // constexpr functions shared with the host, lambdas in templates
                                     "--device-as-default-execution-space"};
    if (report)
        options.push_back("--ptxas-options=-v");
    return options;
}

Compilation Nvrtc::compile(const Macros &macros, const Target &target, bool report) const {
    std::string source;
    for (const auto &[name, value] : macros)
        source += "#define " + name + " " + value + "\n";
    source += "#include \"cuda/device/all.cuh\"\n";
    std::vector<const char *> headers, names, optionPointers;
    for (const KernelSource &file : kernelSources()) {
        headers.push_back(file.text.c_str());
        names.push_back(file.name.c_str());
    }
    const std::vector<std::string> optionTexts = options(target, report);
    for (const std::string &option : optionTexts)
        optionPointers.push_back(option.c_str());

    const NvrtcFunctions &f = *functions;
    struct Program {
        const NvrtcFunctions &f;
        void *handle = nullptr;
        ~Program() {
            if (handle != nullptr)
                f.destroyProgram(&handle);
        }
    } program{f};
    f.check(f.createProgram(&program.handle, source.c_str(), "so3krates.cu", int(headers.size()), headers.data(),
                            names.data()),
            "nvrtcCreateProgram");
    const int result = f.compileProgram(program.handle, int(optionPointers.size()), optionPointers.data());
    auto text = [&](auto getSize, auto get, const char *call) {
        size_t size = 0;
        f.check(getSize(program.handle, &size), call);
        std::string text(size, '\0');
        f.check(get(program.handle, &text[0]), call);
        return text;
    };
    Compilation compilation;
    compilation.log = text(f.getProgramLogSize, f.getProgramLog, "nvrtcGetProgramLog").c_str(); // without the last zero
    if (result != 0)
        throw DeviceError("NVRTC " + version() + " (" + file + ") cannot compile the kernels for " + target.name() +
                          ": " + f.getErrorString(result) + "\n" + compilation.log);
    compilation.code =
        target.ptx ? text(f.getPTXSize, f.getPTX, "nvrtcGetPTX") : text(f.getCUBINSize, f.getCUBIN, "nvrtcGetCUBIN");
    return compilation;
}

} // namespace so3krates::cuda
