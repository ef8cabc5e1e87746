// The cutoff function f_c(d). Formulas: docs/theory.md, "Cutoff functions". Numbers as in enum CutoffFunction
// (model/model.h).
#pragma once

#include "cuda/device/math.cuh"

namespace so3krates {
namespace cuda {

enum CutoffKind { cutoffPhys, cutoffCosine, cutoffPolynomial, cutoffExponential };

// f_c(d), and its derivative by d in `slope`; d and cutoff in Å. 1 - d/cutoff is taken in double; from there on nothing
// cancels, and T is enough.
template <class T> __device__ inline T cutoffValue(double d, double cutoff, T &slope) {
    constexpr int kind = SO3K_CUTOFF_FUNCTION;
    static_assert(kind >= cutoffPhys && kind <= cutoffExponential, "no such cutoff function");
    slope = 0;
    const double ratio = d / cutoff;
    if (ratio >= 1)
        return 0;
    const T x = T(ratio), y = T(1 - ratio), inverse = T(1 / cutoff);
    if constexpr (kind == cutoffPhys) { // 1 - 10 x^3 + 15 x^4 - 6 x^5
        slope = -30 * x * x * y * y * inverse;
        return y * y * y * (1 + x * (3 + 6 * x));
    } else if constexpr (kind == cutoffCosine) { // (cos(pi x) + 1) / 2 = sin^2(pi y / 2)
        const T half = T(0.5 * pi) * y, sine = sinus(half);
        slope = -T(pi) * inverse * sine * cosinus(half);
        return sine * sine;
    } else if constexpr (kind == cutoffPolynomial) { // y^3 sum_{k<p} (k+1)(k+2)/2 x^k
        constexpr int p = SO3K_CUTOFF_EXPONENT;
        T sum = 0;
        for (int k = p - 1; k >= 0; k--)
            sum = sum * x + T(0.5 * (k + 1) * (k + 2));
        slope = T(-0.5 * p * (p + 1.0) * (p + 2.0)) * integerPower(x, p - 1) * y * y * inverse;
        return y * y * y * sum;
    } else { // exp(-d^2 / (cutoff^2 - d^2))
        const T below = y * (1 + x), value = exponential(-(x * x) / below);
        slope = -value * 2 * x * inverse / (below * below);
        return value;
    }
}

} // namespace cuda
} // namespace so3krates
