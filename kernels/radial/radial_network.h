#pragma once
// One filter's radial network, K -> F -> F, with two derivatives by the distance, in double: for what is tabulated.

#include "model/model.h"
#include "radial/radial_basis.h"

namespace so3krates {

class RadialNetwork {
public:
    RadialNetwork(const Model &model, int layer, int filter); // 0: x, 1: ev
    // out[order][F], order 0..orders-1: value, slope, curvature
    void evaluate(double d, int orders, double *out) const;
    const std::vector<double> &bias() const { return secondBias->data; } // [F] part of every value

private:
    RadialBasisFunctions basis;
    Activation activation;
    int F;
    const Tensor *first, *firstBias, *second, *secondBias;
};

} // namespace so3krates
