#include "cuda/driver/shared_library.h"

#include <dlfcn.h>
#include <link.h>

namespace so3krates::cuda {

SharedLibrary::SharedLibrary(const std::string &name) : name(name) {
    handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        const char *error = dlerror();
        reason = error == nullptr ? "cannot be opened" : error;
    }
}

std::string SharedLibrary::path() const {
    link_map *map = nullptr;
    if (handle != nullptr && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_name[0] != 0)
        return map->l_name;
    return name;
}

void *SharedLibrary::symbol(const char *name) const { return handle == nullptr ? nullptr : dlsym(handle, name); }

} // namespace so3krates::cuda
