// S(r; on, off): 1 below `on`, 0 above `off`, smooth to all orders.
#pragma once

#include "cuda/device/math.cuh"

namespace so3krates {
namespace cuda {

// S and dS/dr. exp(1/(1-c) - 1/c) stays finite between the clamps, beyond which S is 1 or 0 in double, too.
template <class T> __device__ inline T switchFunction(T r, T on, T off, T &slope) {
    slope = 0;
    if (r <= on)
        return 1;
    if (r >= off)
        return 0;
    const T c = (r - on) / (off - on), u = 1 - c, exponent = 1 / u - 1 / c;
    if (exponent > T(80))
        return 0;
    if (exponent < T(-80))
        return 1;
    const T growth = exponential(exponent), value = 1 / (1 + growth);
    slope = -value * (growth * value) * (1 / (u * u) + 1 / (c * c)) / (off - on);
    return value;
}

} // namespace cuda
} // namespace so3krates
