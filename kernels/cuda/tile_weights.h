#pragma once
// A layer's weights as the tiled attention kernels read them (device/tile_layout.h).

#include <vector>

#include "model/model.h"
#include "radial/joint_radial_basis.h"

namespace so3krates::cuda {

// Whether the tiled kernels can compute this model's attention at all: its shape, and whether there is a table.
bool haveTiles(const Hyperparameters &hyper, const RadialTable *table);

struct TileWeights {
    static constexpr double bound = 5e-7; // of `error`; beyond it the layer takes the general kernels
    // joint: of the layer. spherical: whether its filters have hidden units that are not constant.
    TileWeights(const Model &model, int layer, const JointRadialBasis &joint, bool spherical);
    std::vector<unsigned> forward[2], back[2]; // filter x and ev; back is empty without spherical filter
    double unscale;                            // what one in the weights stands for
    double error; // JointRadialBasis::error and, likewise, what is lost of the functions that take one product
    // No number that the weights multiply is larger than rows[0] + sum_d rows[1 + d] squares[d], squares: the squared
    // differences of ev by degree.
    std::vector<double> rows;
};

} // namespace so3krates::cuda
