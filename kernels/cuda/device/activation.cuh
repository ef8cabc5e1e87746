// Activation functions with their slopes. Numbers as in enum Activation (model/model.h).
#pragma once

#include "cuda/device/math.cuh"

namespace so3krates {
namespace cuda {

enum ActivationKind { activationIdentity, activationSilu, activationSoftplus, activationTanh, activationRelu };

// act(x), and its derivative in `slope`.
template <int kind, class T> __device__ inline T activate(T x, T &slope) {
    static_assert(kind >= activationIdentity && kind <= activationRelu, "no such activation function");
    if constexpr (kind == activationSilu) {
        const T sigmoid = reciprocal(1 + exponential(-x));
        slope = sigmoid * (1 + x * (1 - sigmoid));
        return x * sigmoid;
    } else if constexpr (kind == activationSoftplus) {
        slope = reciprocal(1 + exponential(-x));
        return largerOf(x, T(0)) + logOnePlus(exponential(-absolute(x)));
    } else if constexpr (kind == activationTanh) {
        const T y = hyperbolicTangent(x);
        slope = 1 - y * y;
        return y;
    } else if constexpr (kind == activationRelu) {
        slope = x > 0 ? T(1) : T(0);
        return largerOf(x, T(0));
    } else {
        slope = 1;
        return x;
    }
}

} // namespace cuda
} // namespace so3krates
