#pragma once
// FP16 numbers (IEEE binary16) on the host: what tensor cores multiply.

#include <cmath>
#include <cstdint>
#include <cstring>

namespace so3krates::cuda {

// x rounded to nearest, halves to even; infinite from 65520 on.
inline std::uint16_t halfBits(float x) {
    const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    if (std::isnan(x))
        return 0x7fff;
    const float size = std::fabs(x);
    if (size >= 65520)
        return sign | 0x7c00;
    int exponent = 0;
    std::frexp(size, &exponent);                                // size < 2^exponent
    const int last = exponent - 11 < -24 ? -24 : exponent - 11; // place of the last bit
    const int units = int(std::nearbyint(std::ldexp(double(size), -last)));
    if (units < 1024)
        return std::uint16_t(sign | units);                    // subnormal: last is -24
    return std::uint16_t(sign | ((last + 24) * 1024 + units)); // the leading bit of units counts the exponent up by one
}

inline float halfValue(std::uint16_t bits) {
    const unsigned exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float subnormal = float(fraction) * 0x1p-24f;
    std::uint32_t size = (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
    if (exponent == 0)
        std::memcpy(&size, &subnormal, sizeof size);
    size |= std::uint32_t(bits & 0x8000) << 16;
    float value;
    std::memcpy(&value, &size, sizeof value);
    return value;
}

} // namespace so3krates::cuda
