#include "model/cache_folder.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace so3krates {

std::string cacheFolder() {
    auto variable = [](const char *name) {
        const char *value = std::getenv(name);
        return std::string(value == nullptr ? "" : value);
    };
    if (std::string folder = variable("SO3KRATES_HOME"); !folder.empty())
        return folder;
    if (std::string folder = variable("XDG_CACHE_HOME"); !folder.empty())
        return folder + "/openmm-so3krates";
    std::string home = variable("HOME");
    if (home.empty())
        if (const passwd *user = getpwuid(getuid()); user != nullptr)
            home = user->pw_dir;
    return home + "/.cache/openmm-so3krates";
}

} // namespace so3krates
