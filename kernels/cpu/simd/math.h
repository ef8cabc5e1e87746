#pragma once
// Elementary functions on vectors, accurate to about two units in the last place of T.

#include <cmath>

#include "cpu/simd/vector.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

template <class T> struct ExpConstants;
template <> struct ExpConstants<float> {
    static constexpr float low = -87.0f, high = 88.0f, magic = 12582912.0f; // 1.5 * 2^23
    static constexpr float ln2High = 0.693359375f, ln2Low = -2.12194440e-4f;
    static constexpr int mantissaBits = 23, terms = 7;
};
template <> struct ExpConstants<double> {
    static constexpr double low = -708.0, high = 709.0, magic = 6755399441055744.0; // 1.5 * 2^52
    static constexpr double ln2High = 0.693145751953125, ln2Low = 1.42860682030941723212e-6;
    static constexpr int mantissaBits = 52, terms = 13;
};

// e^x; x is clamped to the range of T.
template <class T> SO3K_INLINE Vec<T> exponential(Vec<T> x) {
    using C = ExpConstants<T>;
    x = minimum<T>(maximum<T>(x, broadcast<T>(C::low)), broadcast<T>(C::high));
    // Adding 1.5 * 2^mantissaBits leaves the nearest integer in the low bits of the sum.
    Vec<T> shifted = x * T(1.44269504088896340736) + C::magic;
    Vec<T> n = shifted - C::magic;
    Vec<T> r = x - n * C::ln2High;
    r = r - n * C::ln2Low;
    // Taylor series of e^r on |r| <= ln2/2, Horner from the last term.
    Vec<T> p = broadcast<T>(T(1) / C::terms) * r + T(1);
#pragma GCC unroll 16
    for (int k = C::terms - 1; k >= 1; k--)
        p = p * (r * (T(1) / k)) + T(1);
    Ints<T> scale = (bitsOf<T>(shifted) << C::mantissaBits) + bitsOf<T>(broadcast<T>(T(1)));
    return p * vectorOf<T>(scale);
}

template <class T> SO3K_INLINE Vec<T> squareRoot(Vec<T> x) {
    T y[lanes<T>]; // through memory: the compiler turns this loop into one instruction
    store<T>(y, x);
    for (int k = 0; k < lanes<T>; k++)
        y[k] = sizeof(T) == 4 ? T(__builtin_sqrtf(float(y[k]))) : T(__builtin_sqrt(double(y[k])));
    return load<T>(y);
}

// x^(-1/7) for normal positive x: a guess from the exponent bits, then Newton steps (each doubles the digits).
template <class T> SO3K_INLINE Vec<T> inverseSeventhRoot(Vec<T> x) {
    Vec<T> y = zero<T>();
    if constexpr (sizeof(T) == 4) {
        Vec<float> integer = __builtin_convertvector(bitsOf<float>(x), Vec<float>);
        Vec<float> guess = 8.0f / 7.0f * 1065353216.0f - integer * (1.0f / 7.0f); // 1065353216: the bits of 1
        y = vectorOf<float>(__builtin_convertvector(guess, Ints<float>));
        for (int k = 0; k < 4; k++) {
            Vec<T> y2 = y * y, y7 = y2 * y2 * y2 * y;
            y = y * (T(8.0 / 7) - x * y7 * T(1.0 / 7));
        }
    } else {
        for (int k = 0; k < lanes<T>; k++)
            y[k] = __builtin_pow(double(x[k]), -1.0 / 7);
    }
    return y;
}

// erf(x) for x >= 0, given expMinusSquare = e^(-x^2).
// float: a series below 3/4 and the Chebyshev fit of erfc by W. Press et al. (Numerical Recipes, erfcc; relative
// error below 1.2e-7) above. double: the C library, lane by lane.
template <class T> SO3K_INLINE Vec<T> errorFunction(Vec<T> x, Vec<T> expMinusSquare) {
    if constexpr (sizeof(T) == 4) {
        Vec<T> x2 = x * x;
        // 2/sqrt(pi) * sum_n (-1)^n x^(2n+1) / (n! (2n+1))
        constexpr T series[] = {T(1.1283791671e+0),  T(-3.7612638903e-1), T(1.1283791671e-1),
                                T(-2.6866170645e-2), T(5.2239776255e-3),  T(-8.5483270234e-4),
                                T(1.2055332982e-4),  T(-1.4925650358e-5), T(1.6462114366e-6)};
        Vec<T> small = broadcast<T>(series[8]);
#pragma GCC unroll 8
        for (int k = 7; k >= 0; k--)
            small = small * x2 + series[k];
        small = small * x;
        Vec<T> t = T(1) / (T(1) + T(0.5) * x);
        constexpr T fit[] = {T(-1.26551223), T(1.00002368),  T(0.37409196), T(0.09678418),  T(-0.18628806),
                             T(0.27886807),  T(-1.13520398), T(1.48851587), T(-0.82215223), T(0.17087277)};
        Vec<T> p = broadcast<T>(fit[9]);
#pragma GCC unroll 9
        for (int k = 8; k >= 0; k--)
            p = p * t + fit[k];
        Vec<T> large = T(1) - t * expMinusSquare * exponential<T>(p);
        return x < T(0.75) ? small : large;
    } else {
        Vec<T> y = zero<T>();
        for (int k = 0; k < lanes<T>; k++)
            y[k] = __builtin_erf(double(x[k]));
        return y;
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
