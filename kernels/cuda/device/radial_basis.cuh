// Radial basis functions of the distance, in double. Formulas: docs/theory.md, "Radial basis". Numbers as in enum
// RadialBasis (model/model.h). AttentionArguments::basisParameters holds a[K], then b[K]:
//   Bernstein  a: binomial C(K-1, k), b: gamma (1/Å)     Gaussian  a: center (Å), b: 1/(2 width^2)
//   PhysNet    a: center (of exp(-d)), b: beta           Bessel    a: frequency pi n / cutoff (1/Å), b: unused
#pragma once

#include "cuda/device/math.cuh"

namespace so3krates {
namespace cuda {

enum RadialBasisKind { basisBernstein, basisGaussian, basisPhysNet, basisBessel };

// Function k of `count` at distance d (Å), and its derivative in `slope`.
__device__ inline double radialBasis(const double *parameters, int count, int k, double d, double &slope) {
    constexpr int kind = SO3K_RADIAL_BASIS;
    static_assert(kind >= basisBernstein && kind <= basisBessel, "no such radial basis");
    const double a = parameters[k], b = parameters[count + k];
    if constexpr (kind == basisBernstein) { // a t^k (1-t)^m by powers: exp(log) loses digits
        const int m = count - 1 - k;
        const double t = exp(-b * d), u = -expm1(-b * d);
        const double below = k ? integerPower(t, k - 1) : 0, power = k ? below * t : 1;
        const double otherBelow = m ? integerPower(u, m - 1) : 0, otherPower = m ? otherBelow * u : 1;
        slope = -b * t * a * (k * below * otherPower - m * power * otherBelow);
        return a * power * otherPower;
    } else if constexpr (kind == basisGaussian) {
        const double x = d - a, value = exp(-x * x * b);
        slope = -2 * x * b * value;
        return value;
    } else if constexpr (kind == basisPhysNet) {
        const double t = exp(-d), x = t - a, value = exp(-x * x * b);
        slope = 2 * t * x * b * value;
        return value;
    } else {
        if (d < 1e-3) { // series of sin(a d)/d: the closed form cancels
            slope = -a * a * a * d / 3;
            return a - a * a * a * d * d / 6;
        }
        const double value = sin(a * d) / d;
        slope = (a * cos(a * d) - value) / d;
        return value;
    }
}

} // namespace cuda
} // namespace so3krates
