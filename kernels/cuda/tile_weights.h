#pragma once
// A layer's weights as the tiled attention kernels read them (device/tile_layout.h).

#include <vector>

#include "model/model.h"
#include "radial/joint_radial_basis.h"

namespace so3krates::cuda {

// Whether the tiled kernels can compute this model's attention at all: its shape, and whether there is a table.
bool haveTiles(const Hyperparameters &hyper, const RadialTable *table);

struct TileWeights {
    static constexpr double bound = 5e-7; // of JointRadialBasis::error; beyond it the layer takes the general kernels
    // joint: of the layer. spherical: [F][S] of filter x and ev, or null: without spherical filter.
    TileWeights(const JointRadialBasis &joint, const std::vector<double> *const spherical[2], int features, int hidden);
    std::vector<double> forward[2], back[2]; // filter x and ev
};

} // namespace so3krates::cuda
