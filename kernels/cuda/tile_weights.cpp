#include "cuda/tile_weights.h"

#include "cuda/device/tile_layout.h"

namespace so3krates::cuda {

static_assert(JointRadialBasis::size == jointFunctions && jointFunctions % tileDepth == 0, "");

namespace {

// The part of a fragment A [16][8] (device/tensor.cuh) that a lane holds: entry(row, summed).
template <class Entry> void putFragment(std::vector<double> &out, Entry entry) {
    for (int lane = 0; lane < 32; lane++) {
        const int g = lane / 4, t = lane % 4;
        for (int q = 0; q < 4; q++)
            out.push_back(entry(g + q % 2 * 8, t + q / 2 * 4));
    }
}

} // namespace

bool haveTiles(const Hyperparameters &hyper, const RadialTable *table) {
    return table && table->intervals &&
           tiledShape(hyper.numFeatures, hyper.numHeads, hyper.numDegrees(), hyper.numSphericalHidden());
}

TileWeights::TileWeights(const JointRadialBasis &joint, const std::vector<double> *const spherical[2], int features,
                         int hidden) {
    for (int filter = 0; filter < 2; filter++)
        for (int first = 0; first < features; first += tileWidth) {
            const int summed = jointFunctions + (spherical[filter] ? hidden : 0);
            for (int step = 0; step < summed / tileDepth; step++)
                for (int tile = 0; tile < 2; tile++)
                    putFragment(forward[filter], [&](int row, int k) {
                        const int f = first + tileFeature(tile, row), z = forwardSummed(step, k);
                        return z < jointFunctions ? joint.weights[filter][size_t(f) * jointFunctions + z]
                                                  : (*spherical[filter])[size_t(f) * hidden + z - jointFunctions];
                    });
            for (int tile = 0; spherical[filter] && tile < hidden / 16; tile++)
                for (int step = 0; step < tileWidth / tileDepth; step++)
                    putFragment(back[filter], [&](int row, int k) {
                        return (*spherical[filter])[size_t(first + backSummed(step, k)) * hidden + 16 * tile + row];
                    });
        }
}

} // namespace so3krates::cuda
