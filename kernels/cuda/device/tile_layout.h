// How the tiled attention kernels (tiled_attention.cuh) lay features, edges and weights on warps. For the host (which
// shapes, launch sizes, order of the weights) and the device.
#pragma once

namespace so3krates {
namespace cuda {

constexpr int tileWidth = 32;      // features of a head or a degree, one warp each
constexpr int tileEdges = 8;       // columns of a tensor-core product
constexpr int jointFunctions = 48; // JointRadialBasis::size
constexpr int tileDepth = 8;       // numbers that one tensor-core product sums

// Shapes that the tiled kernels can compute, in single precision.
constexpr bool tiledShape(int features, int heads, int degrees, int sphericalHidden) {
    return features == tileWidth * heads && features == tileWidth * degrees && sphericalHidden % 16 == 0 &&
           sphericalHidden <= tileWidth;
}

// Warps of a block, one for each head of the x attention, then one for each degree of the ev attention.
constexpr int tiledThreads(int heads, int degrees) { return 32 * (heads + degrees); }

// Weights in the order in which lane 4 g + t of a warp needs them (Fragment<4>, device/tensor.cuh): one read of four
// numbers. A matrix product takes the numbers that it sums 8 at a time, in any order, so that pairs of neighbors are
// chosen where a lane reads two of them.
//
// Way forward, w = (joint functions, then hidden units of the filter's spherical network) x weights, for a warp's 32
// features: [step of 8 summed numbers][2 tiles][lane][4], features tileFeature(tile, row).
constexpr int tileFeature(int tile, int row) { return 4 * (row % 8) + 2 * tile + row / 8; }
// Way back, from the warp's 32 features to the hidden units: [tile of 16 units][4 steps][lane][4], units in their
// order. A lane reads the features 8 t to 8 t + 7 in one go.
constexpr int forwardSummed(int step, int k) { return tileDepth * step + 2 * (k % 4) + k / 4; }
constexpr int backSummed(int step, int k) { return 8 * (k % 4) + 2 * step + k / 4; }

} // namespace cuda
} // namespace so3krates
