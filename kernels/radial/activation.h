#pragma once
// Activation functions of plain doubles with two derivatives: for what is prepared once per model.

#include <cmath>

#include "model/model.h"

namespace so3krates {

inline double activate(Activation kind, double x, double *slope = nullptr, double *curvature = nullptr) {
    double y = x, d1 = 1, d2 = 0;
    const double sigmoid = 1 / (1 + std::exp(-x));
    switch (kind) {
    case Activation::Silu:
        y = x * sigmoid;
        d1 = sigmoid * (1 + x * (1 - sigmoid));
        d2 = sigmoid * (1 - sigmoid) * (2 + x * (1 - 2 * sigmoid));
        break;
    case Activation::Softplus:
        y = std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
        d1 = sigmoid;
        d2 = sigmoid * (1 - sigmoid);
        break;
    case Activation::Tanh:
        y = std::tanh(x);
        d1 = 1 - y * y;
        d2 = -2 * y * d1;
        break;
    case Activation::Relu:
        y = std::fmax(x, 0.0);
        d1 = x > 0 ? 1 : 0;
        break;
    case Activation::Identity:
        break;
    }
    if (slope)
        *slope = d1;
    if (curvature)
        *curvature = d2;
    return y;
}

} // namespace so3krates
