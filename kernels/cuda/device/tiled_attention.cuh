// The edge filters of the tiled attention kernels: w = (joint radial functions, hidden units of the spherical network)
// x weights on tensor cores, for the edges of a receiver in tiles of 8.
//
// A block takes receivers one by one; a warp is a head of the x attention or a degree of the ev attention. Lane 4 g + t
// of a warp holds the features 4 g to 4 g + 3 of the warp's 32, of the edges 2 t and 2 t + 1 of every tile: rows of q,
// k and v are read in runs of 128 bytes, sums over features are three shuffles, and coefficients never leave the warp.
//
// Per edge (F = 128, S = 32): 48 x 6 numbers of the joint table read, against 12 F of the table of all features, and
// 80 x 256 multiply-adds in three FP16 products each (half_tensor.cuh).
#pragma once

#include "cuda/device/activation.cuh"
#include "cuda/device/cache_hints.cuh"
#include "cuda/device/edge_group.cuh"
#include "cuda/device/half_tensor.cuh"
#include "cuda/device/tensor.cuh"
#include "cuda/device/tile_layout.h"
#include "cuda/device/warp.cuh"

namespace so3krates {
namespace cuda {

constexpr bool useTiles =
    haveTensorCores && tiledShape(numFeatures, numHeads, numDegrees, numEuclidean, numSphericalHidden);

constexpr int tiledBlock = useTiles ? tiledThreads(numHeads, numDegrees) : 32; // threads
constexpr int tiledBlocks = tiledBlocksPerMultiprocessor(tiledBlock);
constexpr int hiddenUnits = 2 * numSphericalHidden; // of both filters
constexpr int hiddenRow = hiddenUnits + 4;          // four rows at a time are read: in different banks
constexpr int hiddenTiles = numSphericalHidden < 16 ? 1 : numSphericalHidden / 16;
constexpr int jointSteps = jointFunctions / tileDepth, filterSteps = forwardSteps(numSphericalHidden);
constexpr int jointFours = jointFunctions / 4, hiddenFours = hiddenUnits < 4 ? 1 : hiddenUnits / 4;
static_assert(!useTiles || (tiledBlock % hiddenFours == 0), "a lane and a thread each");
static_assert(halfDepth == tileDepth, "");

struct alignas(16) Four {
    Real of[4];
};
__device__ inline Four loadFour(const Real *numbers) { return *reinterpret_cast<const Four *>(numbers); }
__device__ inline Four loadPassingFour(const Real *numbers) {
    if constexpr (sizeof(Real) != sizeof(float))
        return loadFour(numbers);
    const Words words = loadPassing(numbers);
    Four four;
#pragma unroll
    for (int q = 0; q < 4; q++)
        four.of[q] = __int_as_float(int(words.of[q]));
    return four;
}
__device__ inline SplitFour splitFour(const Four &four, Real scale) {
    const float numbers[4] = {float(four.of[0] * scale), float(four.of[1] * scale), float(four.of[2] * scale),
                              float(four.of[3] * scale)};
    SplitFour split;
    split.set(numbers);
    return split;
}

// Where a thread stands.
struct TileLane {
    int warp, g, t;
    int m, block; // attention (0: x, 1: ev); head or degree
    int feature;  // the first of its four
};

__device__ inline TileLane tileLane() {
    TileLane lane;
    lane.warp = threadIdx.x / 32;
    lane.g = threadIdx.x % 32 / 4;
    lane.t = threadIdx.x % 4;
    lane.m = lane.warp < numHeads ? 0 : 1;
    lane.block = lane.warp - lane.m * numHeads;
    lane.feature = lane.block * tileWidth + 4 * lane.g;
    return lane;
}

// The lane's first feature in [N][F]. 32 bits, which save registers: 16 million atoms of 128 features, more than fit.
__device__ inline unsigned tileIndex(int atom, const TileLane &lane) {
    return unsigned(atom) * numFeatures + lane.feature;
}

// The block's receivers: neighbors in the order of atoms, often in space too, so that rows of senders are found in the
// L1 cache. At most one more than the other blocks have.
struct Receivers {
    int first, end;
    __device__ explicit Receivers(int atoms)
        : first(int((long long)atoms * blockIdx.x / gridDim.x)),
          end(int((long long)atoms * (blockIdx.x + 1) / gridDim.x)) {}
};

// Fours from one row to the next: what eight lanes read of two rows at a time lies in different banks.
constexpr int tileRow(int fours) { return fours % 8 ? fours : fours + 4; }

// What the filters of a group are made of, times a power of two for every edge: its joint functions, their derivatives
// by the position in the interval if wanted, and hidden units of both filters.
template <int columns, bool withSlope> struct TileRows {
    static constexpr int slopes = jointFours, hidden = jointFours * (withSlope ? 2 : 1);
    SplitFour row[columns][tileRow(hidden + hiddenFours)];
    Real unscale[columns];                      // what one in a row x weights stands for
    Real unscaleSlope[withSlope ? columns : 1]; // likewise of the derivatives, by d
};

// Geometry of a group and squared differences of ev, by all threads; complete after a barrier.
template <int columns>
__device__ inline void loadTileEdges(const AttentionArguments<Real> &a, int receiver, int first, int edges,
                                     EdgeGroupOf<columns> &group, Real (&squares)[columns][numDegrees]) {
    const int k = threadIdx.x;
    if (k < edges)
        loadEdge(a.atoms, a.edges, a.cutoff, a.grid, receiver, first + k, k, group);
    if (!a.weights.spherical0[0])
        return;
    for (int task = tiledBlock - 1 - k; task < numDegrees * edges; task += tiledBlock) { // other warps first
        const int d = task / edges, e = task - d * edges;
        const Real *at = a.state.evIn + (long long)receiver * numEuclidean;
        const Real *from = a.state.evIn + (long long)senderOf(a.edges, receiver, first + e) * numEuclidean;
        Real sum = 0;
        for (int m = degreeStart(d); m < degreeStart(d + 1); m++)
            sum += (from[m] - at[m]) * (from[m] - at[m]);
        squares[e][d] = sum;
    }
}

// The exponent, as float32 has it, of a bound of the numbers of an edge's row.
__device__ inline int rowExponent(const AttentionArguments<Real> &a, const Real (&squares)[numDegrees]) {
    Real bound = a.weights.tileRows[0];
    if (a.weights.spherical0[0])
#pragma unroll
        for (int d = 0; d < numDegrees; d++)
            bound += a.weights.tileRows[1 + d] * squares[d];
    return __float_as_int(float(bound)) >> 23 & 255; // without the sign that NaN may have
}
// 2^(n - 127)
__device__ inline Real powerOfTwo(int n) { return __int_as_float(n << 23); }
// Brings numbers below 2^(exponent - 126) below largestHalf = 2^15, and back.
__device__ inline Real halfScale(int exponent) { return powerOfTwo(268 - exponent); }
__device__ inline Real halfUnscale(int exponent) { return powerOfTwo(exponent - 14); }

// The exponent of the largest number of a warp.
__device__ inline int largestExponent(float largest) {
    const unsigned bits = warpLargest(unsigned(__float_as_int(largest)));
    const int exponent = int(bits >> 23);
    return exponent > 16 ? exponent : 16; // so that the scale has an exponent, too
}

// Joint functions and hidden units, by all threads; complete after a barrier. hiddenSlope: null or where to keep act'.
template <int columns, bool withSlope>
__device__ inline void loadTileRows(const AttentionArguments<Real> &a, int edges, const EdgeGroupOf<columns> &group,
                                    const Real (&squares)[columns][numDegrees], TileRows<columns, withSlope> &rows,
                                    Real (*hiddenSlope)[hiddenRow]) {
    using Rows = TileRows<columns, withSlope>;
    for (int k = threadIdx.x; k < jointFours * edges; k += tiledBlock) {
        const int e = k / jointFours, four = k % jointFours;
        const Real *piece = a.weights.jointTable + group.interval[e] * (splineOrder * jointFunctions) + 4 * four;
        const int exponent = rowExponent(a, squares[e]);
        const Real t = group.position[e], scale = halfScale(exponent);
        Four value = loadFour(piece + (splineOrder - 1) * jointFunctions), slope = {};
#pragma unroll
        for (int power = splineOrder - 2; power >= 0; power--) {
            const Four c = loadFour(piece + power * jointFunctions);
#pragma unroll
            for (int q = 0; q < 4; q++) {
                if constexpr (withSlope)
                    slope.of[q] = slope.of[q] * t + value.of[q];
                value.of[q] = value.of[q] * t + c.of[q];
            }
        }
        rows.row[e][four] = splitFour(value, scale);
        if constexpr (withSlope)
            rows.row[e][Rows::slopes + four] = splitFour(slope, scale);
        if (four == 0) {
            rows.unscale[e] = halfUnscale(exponent) * a.weights.tileUnscale;
            if constexpr (withSlope)
                rows.unscaleSlope[e] = rows.unscale[e] * Real(inverseWidth(a.grid, group.interval[e]));
        }
    }
    // A thread has four units, so that their weights are read once.
    const int four = threadIdx.x % hiddenFours, m = 4 * four / numSphericalHidden, k = 4 * four % numSphericalHidden;
    const Real *weights = m == 0 ? a.weights.spherical0[0] : a.weights.spherical0[1];
    Four weight[numDegrees] = {}, bias = {};
    if (weights) {
        bias = loadFour((m == 0 ? a.weights.spherical0Bias[0] : a.weights.spherical0Bias[1]) + k);
#pragma unroll
        for (int d = 0; d < numDegrees; d++)
            weight[d] = loadFour(weights + d * numSphericalHidden + k);
    }
#pragma unroll 1
    for (int e = threadIdx.x / hiddenFours; e < edges; e += tiledBlock / hiddenFours) {
        Four unit = {}, slope = {};
        Real scale = 0;
        if (weights) {
            scale = halfScale(rowExponent(a, squares[e]));
#pragma unroll
            for (int q = 0; q < 4; q++) {
                Real sum = bias.of[q];
#pragma unroll
                for (int d = 0; d < numDegrees; d++)
                    sum += weight[d].of[q] * squares[e][d];
                unit.of[q] = activate<SO3K_ACTIVATION>(sum, slope.of[q]);
            }
        }
        rows.row[e][Rows::hidden + four] = splitFour(unit, scale);
        if constexpr (withSlope)
            *reinterpret_cast<Four *>(&hiddenSlope[e][4 * four]) = slope;
    }
}

// Fragment `index` of the weights (tile_layout.h), by whole warps.
__device__ inline SplitFragment loadFragment(const unsigned *weights, int index) {
    const unsigned *words = weights + index * fragmentWords + threadIdx.x % 32 * 4;
    const Words big = *reinterpret_cast<const Words *>(words),
                small = *reinterpret_cast<const Words *>(words + fragmentWords / 2);
    SplitFragment fragment;
#pragma unroll
    for (int q = 0; q < 4; q++) {
        fragment.big[q] = big.of[q];
        fragment.small[q] = small.of[q];
    }
    return fragment;
}

// The weights of the warp's filters.
__device__ inline const unsigned *forwardWeights(const AttentionArguments<Real> &a, const TileLane &lane) {
    return (lane.m == 0 ? a.weights.tileForward[0] : a.weights.tileForward[1]) +
           lane.block * (filterSteps * 2 * fragmentWords);
}

// Whether a step has products of small parts.
__device__ constexpr bool isSplit(int step) { return step < jointSplit / tileDepth || step >= jointSteps; }

// Where the lane's numbers of a step stand in a row.
template <class Rows> __device__ inline int stepColumn(const TileLane &lane, int step) {
    const int hidden = Rows::hidden + lane.m * (hiddenFours / 2) - jointFours;
    return 4 * step + (step < jointSteps ? 0 : hidden) + lane.t;
}

// Sums of products of a warp's features and the edges of a tile: features q and edges c in [q / 2][2 * (q % 2) + c] of
// the lane.
using TileSum = float[2][4];

__device__ inline void clearSum(TileSum &sum) {
#pragma unroll
    for (int r = 0; r < 4; r++)
        sum[0][r] = sum[1][r] = 0;
}

constexpr int powerOfTwoFrom(int n) { return n <= 1 ? 1 : n <= 2 ? 2 : 4; }

// Sums over the lanes of one t, that is, over the warp's features; and over those of one g, over edges.
__device__ inline Real sumFeatures(Real value) {
    for (int distance = 4; distance < 32; distance *= 2)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}
__device__ inline Real sumEdges(Real value) {
    for (int distance = 1; distance < 4; distance *= 2)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

} // namespace cuda
} // namespace so3krates
