#pragma once
// A layer's radial networks as combinations of a few functions of the distance: R_f(d) = sum_k U_k(d) C_kf for the
// features f of both filters. The U_k are splines on the radial table's grid, as smooth as its own (C2), so forces are
// gradients of the energy; tabulating them takes a sixth of the reads, and the sum is a matrix product.

#include <vector>

#include "radial/radial_table.h"

namespace so3krates {

struct JointRadialBasis {
    static constexpr int size = 48; // SO3LR: deviates by less than 1e-6 of the networks' rms
    double error = 0; // largest deviation from the networks on the grid, relative to their rms; biases left out
    double rms = 0;   // of the networks
    std::vector<double> pieces;     // [interval][RadialTable::order][size] powers of t, as in the table
    std::vector<double> weights[2]; // filter x, ev: [F][size], without bias
};

JointRadialBasis makeJointRadialBasis(const Model &model, int layer, const RadialGrid &grid);

} // namespace so3krates
