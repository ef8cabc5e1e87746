#pragma once
// Libraries that are opened at run time, so that building and starting need neither of them.

#include <string>

namespace so3krates::cuda {

class SharedLibrary {
public:
    // `name` is a path or a bare name that the loader looks for. Check isOpen().
    explicit SharedLibrary(const std::string &name);
    // Never closed: drivers and compilers keep threads and tables that outlive any of our objects.
    bool isOpen() const { return handle != nullptr; }
    const std::string &error() const { return reason; } // the loader's words, if it is not open
    std::string path() const;                           // of the file, as the loader found it
    void *symbol(const char *name) const;               // null: there is none

private:
    void *handle = nullptr;
    std::string name, reason;
};

} // namespace so3krates::cuda
