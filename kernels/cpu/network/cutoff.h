#pragma once
// The cutoff functions f_c(d), in double: a few operations per pair. Formulas: docs/theory.md, "Cutoff functions".

#include <cmath>

#include "cpu/simd/vector.h"
#include "model/model.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

SO3K_INLINE double integerPower(double x, int n) {
    double y = 1;
    for (; n > 0; n /= 2, x *= x)
        if (n & 1)
            y *= x;
    return y;
}

// f_c(d), and its derivative with respect to d in `slope`.
inline double cutoffValue(CutoffFunction kind, int exponent, double d, double cutoff, double &slope) {
    slope = 0;
    if (d >= cutoff)
        return 0;
    double x = d / cutoff;
    switch (kind) {
    case CutoffFunction::Phys: { // 1 - 10 x^3 + 15 x^4 - 6 x^5, factored: no cancellation near the cutoff
        double y = 1 - x;
        slope = -30 * x * x * y * y / cutoff;
        return y * y * y * (1 + x * (3 + 6 * x));
    }
    case CutoffFunction::Cosine:
        slope = -0.5 * M_PI / cutoff * __builtin_sin(M_PI * x);
        return 0.5 * (__builtin_cos(M_PI * x) + 1);
    case CutoffFunction::Polynomial: {
        double p = exponent, power = integerPower(x, exponent - 1), y = 1 - x;
        slope = -0.5 * p * (p + 1) * (p + 2) * power * y * y / cutoff;
        return 1 - power * x * (0.5 * (p + 1) * (p + 2) - x * (p * (p + 2) - x * 0.5 * p * (p + 1)));
    }
    case CutoffFunction::Exponential: {
        double below = cutoff * cutoff - d * d, value = __builtin_exp(-d * d / below);
        slope = -value * 2 * d * cutoff * cutoff / (below * below);
        return value;
    }
    }
    return 0;
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
