#include "base64.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>

namespace SO3kratesPlugin {

static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint32_t sixBits(char letter) {
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    if (letter == '+' || letter == '/')
        return letter == '+' ? 62 : 63;
    throw std::invalid_argument("not valid base64");
}

std::string encodeBase64(const std::string &bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const size_t count = std::min<size_t>(3, bytes.size() - i);
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < count ? (uint8_t)bytes[i + k] : 0u);
        for (size_t k = 0; k < 4; k++)
            text += k <= count ? alphabet[group >> (18 - 6 * k) & 63] : '=';
    }
    return text;
}

std::string decodeBase64(const std::string &text) {
    if (text.size() % 4 != 0)
        throw std::invalid_argument("not valid base64: the length is not a multiple of four");
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3);
    for (size_t i = 0; i < text.size(); i += 4) {
        size_t padding = 0;
        if (i + 4 == text.size())
            padding = text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++)
            group = group << 6 | (k >= 4 - padding ? 0 : sixBits(text[i + k]));
        for (size_t k = 0; k < 3 - padding; k++)
            bytes += (char)(group >> (16 - 8 * k) & 255);
    }
    return bytes;
}

} // namespace SO3kratesPlugin
