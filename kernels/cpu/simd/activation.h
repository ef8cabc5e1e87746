#pragma once
// Activation functions with their derivative, on vectors.

#include "cpu/simd/math.h"
#include "model/model.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

template <class T> SO3K_INLINE Vec<T> activate(Activation kind, Vec<T> x, Vec<T> &derivative) {
    switch (kind) {
    case Activation::Silu: {
        Vec<T> sigmoid = T(1) / (T(1) + exponential<T>(-x));
        Vec<T> y = x * sigmoid;
        derivative = sigmoid + y * (T(1) - sigmoid);
        return y;
    }
    case Activation::Softplus: {
        Vec<T> y;
        for (int k = 0; k < lanes<T>; k++) {
            double v = double(x[k]);
            y[k] = T((v > 0 ? v : 0) + __builtin_log1p(__builtin_exp(v > 0 ? -v : v)));
        }
        derivative = T(1) / (T(1) + exponential<T>(-x));
        return y;
    }
    case Activation::Tanh: {
        Vec<T> y;
        for (int k = 0; k < lanes<T>; k++)
            y[k] = T(__builtin_tanh(double(x[k])));
        derivative = T(1) - y * y;
        return y;
    }
    case Activation::Relu:
        derivative = x > T(0) ? broadcast<T>(T(1)) : zero<T>();
        return x > T(0) ? x : zero<T>();
    case Activation::Identity:
        break;
    }
    derivative = broadcast<T>(T(1));
    return x;
}

// out[k] = act(in[k]), derivative[k] = act'(in[k]) (unless null); n is a multiple of lanes<T>; in may be out.
template <class T> void activateRow(Activation kind, const T *in, int n, T *out, T *derivative) {
    for (int k = 0; k < n; k += lanes<T>) {
        Vec<T> d, y = activate<T>(kind, load<T>(in + k), d);
        store<T>(out + k, y);
        if (derivative)
            store<T>(derivative + k, d);
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
