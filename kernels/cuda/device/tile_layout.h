// How the tiled attention kernels (tiled_attention.cuh) lay features, edges and weights on warps. For the host (which
// shapes, launch sizes, order of the weights) and the device.
#pragma once

namespace so3krates {
namespace cuda {

constexpr int tileWidth = 32;      // features of a head or a degree, one warp each
constexpr int tileEdges = 8;       // columns of a tensor-core product
constexpr int tileDepth = 16;      // numbers that one tensor-core product sums
constexpr int jointFunctions = 48; // JointRadialBasis::size
constexpr int jointSplit = 32;     // of them, the first ones: the others' weights are so small that one product will do

// Shapes that the tiled kernels can compute, in single precision.
constexpr bool tiledShape(int features, int heads, int degrees, int euclidean, int sphericalHidden) {
    return features == tileWidth * heads && features == tileWidth * degrees && degrees <= 4 && euclidean <= 32 &&
           sphericalHidden % tileDepth == 0 && sphericalHidden > 0 && sphericalHidden <= tileWidth;
}

// Warps of a block, one for each head of the x attention, then one for each degree of the ev attention.
constexpr int tiledThreads(int heads, int degrees) { return 32 * (heads + degrees); }
// At least: 128 registers per thread.
constexpr int tiledBlocksPerMultiprocessor(int threads) { return threads > 512 ? 1 : 512 / threads; }

// Weights are the A of half_tensor.cuh in fragments of 16 rows and 16 summed numbers, as the lanes read them: [big,
// small][lane][4] times two FP16 numbers.
constexpr int fragmentWords = 2 * 32 * 4;
// Way forward, w = (joint functions, then hidden units of the filter's spherical network) x weights, for a warp's 32
// features: [step of 16 summed numbers][2 tiles] fragments; rows are the features tileFeature(tile, row), so that a
// lane has four neighbors. Without spherical network the weights of its units are zero.
constexpr int forwardSteps(int sphericalHidden) { return (jointFunctions + sphericalHidden) / tileDepth; }
constexpr int tileFeature(int tile, int row) { return 4 * (row % 8) + 2 * tile + row / 8; }
// Way back, from the warp's 32 features to the hidden units: [tile of 16 units][2 steps of 16 features] fragments.
constexpr int backSteps = tileWidth / tileDepth;

// Weights and what they multiply are FP16 numbers times powers of two: their largest are below this.
constexpr float largestHalf = 32768;

} // namespace cuda
} // namespace so3krates
