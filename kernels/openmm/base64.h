#pragma once
// Base64 (RFC 4648, with padding), for model files embedded in XML.

#include <string>

namespace SO3kratesPlugin {

std::string encodeBase64(const std::string &bytes);
// Throws std::invalid_argument if the text is not base64.
std::string decodeBase64(const std::string &text);

} // namespace SO3kratesPlugin
