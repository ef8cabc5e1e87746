#pragma once
// Radial part of the edge filters: basis functions of the distance and the small network on them, exactly.

#include <cmath>

#include "cpu/evaluation.h"
#include "cpu/network/cutoff.h"
#include "cpu/simd/activation.h"
#include "cpu/simd/gemm.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// Basis functions at d and their derivatives, [K] each. In double: Bernstein powers span many orders of magnitude.
template <class T> void radialBasis(const PackedModel<T>& model, double d, T* value, T* slope) {
    const int K = model.shape.numRadial;
    switch (model.radialBasis) {
    case RadialBasis::Bernstein: {
        // C(n,k) t^k (1-t)^(n-k), t = exp(-gamma d), n = K-1
        const int n = K - 1;
        double t = __builtin_exp(-model.bernsteinGamma * d), u = -__builtin_expm1(-model.bernsteinGamma * d);
        double powersOfU[512];
        powersOfU[0] = 1;
        for (int k = 1; k <= n; k++)
            powersOfU[k] = powersOfU[k - 1] * u;
        double powerOfT = 1, previous = 0; // t^k, t^(k-1)
        for (int k = 0; k <= n; k++) {
            double last = k < n ? powersOfU[n - k - 1] : 0;
            value[k] = T(model.basisA[k] * powerOfT * powersOfU[n - k]);
            slope[k] = T(-model.bernsteinGamma * t * model.basisA[k] *
                         (k * previous * powersOfU[n - k] - (n - k) * powerOfT * last));
            previous = powerOfT;
            powerOfT *= t;
        }
        break;
    }
    case RadialBasis::Gaussian:
        for (int k = 0; k < K; k++) {
            double x = d - model.basisA[k], g = __builtin_exp(-x * x * model.basisB[k]);
            value[k] = T(g);
            slope[k] = T(-2 * x * model.basisB[k] * g);
        }
        break;
    case RadialBasis::PhysNet: {
        double t = __builtin_exp(-d);
        for (int k = 0; k < K; k++) {
            double x = t - model.basisA[k], g = __builtin_exp(-x * x * model.basisB[k]);
            value[k] = T(g);
            slope[k] = T(2 * x * model.basisB[k] * g * t);
        }
        break;
    }
    case RadialBasis::Bessel:
        for (int k = 0; k < K; k++) {
            double a = M_PI * (k + model.besselFirst) / model.cutoff;
            double sine = __builtin_sin(a * d), cosine = __builtin_cos(a * d);
            value[k] = T(sine / d);
            slope[k] = T((a * cosine - sine / d) / d);
        }
        break;
    }
}

// Rows of basis functions of the pairs [begin, begin + n): first n rows of values, then n rows of slopes, [2n][K].
template <class T> void radialBasisBlock(const Evaluation<T>& e, int begin, int n, T* rows) {
    const int K = e.model->shape.radial;
    for (int p = 0; p < n; p++)
        radialBasis<T>(*e.model, e.distance[begin + p], rows + p * K, rows + (n + p) * K);
}

// The radial network of filter m: [n][block total] values (biases of both filter parts included) and, unless slopes
// is null, their derivatives with respect to the distance. hidden: [2n][F] work space.
template <class T>
void radialFilter(const Evaluation<T>& e, const LayerWeights<T>& w, int m, int n, const T* basis, T* hidden, T* values,
                  T* slopes) {
    const Shape& s = e.model->shape;
    const int F = s.features, total = s.block[m].total();
    const Dense<T>&first = w.radial0[m], &second = w.radial1[m];
    gemm<T>(slopes ? 2 * n : n, basis, s.radial, first.weight, first.in, F, Start::Zero, nullptr, hidden, F);
    for (int p = 0; p < n; p++) {
        T *row = hidden + p * F, *slopeRow = hidden + (n + p) * F;
        for (int f = 0; f < F; f += lanes<T>) {
            Vec<T> d, y = activate<T>(e.model->activation, load<T>(row + f) + load<T>(first.bias + f), d);
            store<T>(row + f, y);
            if (slopes)
                store<T>(slopeRow + f, load<T>(slopeRow + f) * d);
        }
    }
    gemm<T>(n, hidden, F, second.weight, second.in, total, Start::Bias, second.bias, values, total);
    if (slopes)
        gemm<T>(n, hidden + n * F, F, second.weight, second.in, total, Start::Zero, nullptr, slopes, total);
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
