#pragma once

#include <string>
#include <string_view>

namespace so3krates {

// SHA-256 (FIPS 180-4), lower-case hexadecimal.
std::string sha256(std::string_view data);

} // namespace so3krates
