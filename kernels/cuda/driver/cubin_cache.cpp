#include "cuda/driver/cubin_cache.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "model/cache_folder.h"
#include "model/sha256.h"

// A file is 64 hexadecimal digits, the SHA-256 of the rest, and then the code.

namespace so3krates::cuda {

namespace {

constexpr size_t hashDigits = 64;

bool writeAll(int file, const std::string &bytes) {
    for (size_t done = 0; done < bytes.size();) {
        const ssize_t count = ::write(file, bytes.data() + done, bytes.size() - done);
        if (count <= 0)
            return false;
        done += size_t(count);
    }
    return true;
}

} // namespace

CubinCache CubinCache::standard() { return CubinCache(cacheFolder() + "/kernels"); }

std::optional<std::string> CubinCache::read(const std::string &key) const {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path(key), error))
        return std::nullopt;
    std::ifstream file(path(key), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (bytes.size() <= hashDigits) // or it could not be opened
        return std::nullopt;
    std::string code = bytes.substr(hashDigits);
    if (sha256(code) != bytes.substr(0, hashDigits))
        return std::nullopt;
    return code;
}

bool CubinCache::write(const std::string &key, const std::string &code) const noexcept {
    try {
        std::error_code error;
        std::filesystem::create_directories(folder, error);
        std::string temporary = path(key) + ".XXXXXX";
        const int file = mkstemp(&temporary[0]);
        if (file < 0)
            return false;
        bool good = writeAll(file, sha256(code) + code);
        good &= ::close(file) == 0;
        if (good)
            std::filesystem::rename(temporary, path(key), error);
        if (!good || error) {
            ::unlink(temporary.c_str());
            return false;
        }
        return true;
    } catch (...) { // out of memory, or a path that is no path
        return false;
    }
}

} // namespace so3krates::cuda
