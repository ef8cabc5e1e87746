// The cutoff function f_c(d), in double: a few operations per edge. Formulas: docs/theory.md, "Cutoff functions".
// Numbers as in enum CutoffFunction (model/model.h).
#pragma once

#include "cuda/device/math.cuh"

namespace so3krates {
namespace cuda {

enum CutoffKind { cutoffPhys, cutoffCosine, cutoffPolynomial, cutoffExponential };

// f_c(d), and its derivative by d in `slope`; d and cutoff in Å.
__device__ inline double cutoffValue(double d, double cutoff, double &slope) {
    constexpr int kind = SO3K_CUTOFF_FUNCTION;
    static_assert(kind >= cutoffPhys && kind <= cutoffExponential, "no such cutoff function");
    slope = 0;
    if (d >= cutoff)
        return 0;
    const double x = d / cutoff, y = 1 - x;
    if constexpr (kind == cutoffPhys) { // 1 - 10 x^3 + 15 x^4 - 6 x^5 without its cancellation near the cutoff
        slope = -30 * x * x * y * y / cutoff;
        return y * y * y * (1 + x * (3 + 6 * x));
    } else if constexpr (kind == cutoffCosine) {
        slope = -0.5 * pi / cutoff * sin(pi * x);
        return 0.5 * (cos(pi * x) + 1);
    } else if constexpr (kind == cutoffPolynomial) { // y^3 sum_{k<p} (k+1)(k+2)/2 x^k, the same without cancellation
        constexpr int p = SO3K_CUTOFF_EXPONENT;
        double sum = 0;
        for (int k = p - 1; k >= 0; k--)
            sum = sum * x + 0.5 * (k + 1) * (k + 2);
        slope = -0.5 * p * (p + 1.0) * (p + 2.0) * integerPower(x, p - 1) * y * y / cutoff;
        return y * y * y * sum;
    } else {
        const double below = cutoff * cutoff - d * d, value = exp(-d * d / below);
        slope = -value * 2 * d * cutoff * cutoff / (below * below);
        return value;
    }
}

} // namespace cuda
} // namespace so3krates
