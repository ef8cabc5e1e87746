#pragma once
// Compiled kernels on disk. A cache that cannot be used is no error: kernels are then compiled again.

#include <optional>
#include <string>

namespace so3krates::cuda {

class CubinCache {
public:
    // The folder need not exist.
    explicit CubinCache(std::string folder) : folder(std::move(folder)) {}
    // $SO3KRATES_HOME/kernels, or beside the installed models (cacheFolder() in model/cache_folder.h).
    static CubinCache standard();
    // The code kept under a key (hexadecimal); nothing if there is none, or if the file is damaged in any way.
    std::optional<std::string> read(const std::string &key) const;
    // Whole or not at all, also when several processes write. False: it could not be written.
    bool write(const std::string &key, const std::string &code) const noexcept;

private:
    std::string path(const std::string &key) const { return folder + "/" + key + ".cubin"; }
    std::string folder;
};

} // namespace so3krates::cuda
