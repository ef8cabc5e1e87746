// An NVRTC for tests: "compiles" to a text that names the options and counts how often it is asked.
// stub_set and the other stub_ functions are the test's side.

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

#ifndef STUB_MAJOR
#define STUB_MAJOR 13
#endif

struct Program {
    std::string source, options, log;
    int headers;
};

std::map<std::string, long> settings{{"minor", 0}, {"fail", 0}};
std::vector<int> architectures{75, 80, 90, 100, 120};
long compilations = 0;
std::string lastSource;

int copy(const std::string &text, char *out) {
    memcpy(out, text.c_str(), text.size() + 1);
    return 0;
}

std::string code(const Program *program) {
    return (program->options.find("sm_") == std::string::npos ? "ptx " : "cubin ") + program->options;
}

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void stub_set(const char *name, long value) { settings[name] = value; }
EXPORT void stub_architectures(const int *list, int count) { architectures.assign(list, list + count); }
EXPORT long stub_compilations() { return compilations; }
EXPORT const char *stub_source() { return lastSource.c_str(); }

EXPORT const char *nvrtcGetErrorString(int code) { return code == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR"; }
EXPORT int nvrtcVersion(int *major, int *minor) {
    *major = STUB_MAJOR;
    *minor = int(settings["minor"]);
    return 0;
}
EXPORT int nvrtcGetNumSupportedArchs(int *count) {
    *count = int(architectures.size());
    return 0;
}
EXPORT int nvrtcGetSupportedArchs(int *list) {
    for (size_t k = 0; k < architectures.size(); k++)
        list[k] = architectures[k];
    return 0;
}
EXPORT int nvrtcCreateProgram(void **program, const char *source, const char *, int headers, const char *const *texts,
                              const char *const *names) {
    auto *own = new Program{source, "", "", headers};
    for (int k = 0; k < headers; k++)
        if (texts[k] == nullptr || names[k] == nullptr)
            return 3;
    lastSource = source;
    *program = own;
    return 0;
}
EXPORT int nvrtcCompileProgram(void *program, int count, const char *const *options) {
    auto *own = static_cast<Program *>(program);
    compilations++;
    for (int k = 0; k < count; k++)
        own->options += std::string(options[k]) + " ";
    if (settings["fail"]) {
        own->log = "so3krates.cu(7): error: expected a ';'";
        return 6;
    }
    return 0;
}
EXPORT int nvrtcGetProgramLogSize(void *program, size_t *size) {
    *size = static_cast<Program *>(program)->log.size() + 1;
    return 0;
}
EXPORT int nvrtcGetProgramLog(void *program, char *log) { return copy(static_cast<Program *>(program)->log, log); }
EXPORT int nvrtcGetCUBINSize(void *program, size_t *size) {
    const auto *own = static_cast<Program *>(program);
    *size = own->options.find("sm_") == std::string::npos ? 0 : code(own).size() + 1;
    return 0;
}
EXPORT int nvrtcGetCUBIN(void *program, char *out) { return copy(code(static_cast<Program *>(program)), out); }
EXPORT int nvrtcGetPTXSize(void *program, size_t *size) {
    *size = code(static_cast<Program *>(program)).size() + 1;
    return 0;
}
EXPORT int nvrtcGetPTX(void *program, char *out) { return copy(code(static_cast<Program *>(program)), out); }
EXPORT int nvrtcDestroyProgram(void **program) {
    delete static_cast<Program *>(*program);
    *program = nullptr;
    return 0;
}
