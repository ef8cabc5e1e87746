// The edge filters of the tiled attention kernels: w = (joint radial functions, hidden units of the spherical network)
// x weights on tensor cores, for the edges of a receiver in tiles of 8.
//
// A block is a receiver, a warp a head of the x attention or a degree of the ev attention. Lane 4 g + t of a warp holds
// the features 4 g to 4 g + 3 of the warp's 32, of the edges 2 t and 2 t + 1 of every tile: rows of q, k and v are read
// in runs of 128 bytes, sums over features are three shuffles, and coefficients never leave the warp.
//
// Per edge (F = 128, S = 32): 40 x 6 numbers of the joint table read, against 12 F of the table of all features, and
// 72 x 256 multiply-adds in three TF32 products each. Weights are read once per group of tiles, 4 F (40 + S) bytes per
// filter.
#pragma once

#include "cuda/device/activation.cuh"
#include "cuda/device/edge_group.cuh"
#include "cuda/device/tensor.cuh"
#include "cuda/device/tile_layout.h"

namespace so3krates {
namespace cuda {

constexpr bool useTiles = haveTensorCores && tiledShape(numFeatures, numHeads, numDegrees, numSphericalHidden);

constexpr int tiledBlock = useTiles ? tiledThreads(numHeads, numDegrees) : 32; // threads
constexpr int tiledBlocks = 512 / tiledBlock;       // of a multiprocessor, at least: 128 registers per thread
constexpr int hiddenUnits = 2 * numSphericalHidden; // of both filters
constexpr int hiddenTiles = numSphericalHidden < 16 ? 1 : numSphericalHidden / 16;
constexpr int jointSteps = jointFunctions / tileDepth, hiddenSteps = numSphericalHidden / tileDepth;
static_assert(!useTiles || (numEuclidean <= 32 && tiledBlock % hiddenUnits == 0), "a lane and a thread each");

struct alignas(16) Four {
    Real of[4];
};
struct alignas(8) Two {
    Real of[2];
};
__device__ inline Four loadFour(const Real *numbers) { return *reinterpret_cast<const Four *>(numbers); }

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

// A receiver's edges in groups of up to `most` tiles, as equal as can be.
template <int most> struct TileGroups {
    int tiles; // of a group but the last
    __device__ explicit TileGroups(int edges) {
        const int all = (edges + tileEdges - 1) / tileEdges, groups = (all + most - 1) / most;
        tiles = groups ? (all + groups - 1) / groups : 1;
    }
};

// Numbers from one row to the next of what tensor cores multiply: eight rows' pairs in different banks.
constexpr int tileRow(int width) { return (width + 7) / 16 * 16 + 8; }

// What the filters of a group are made of: an edge's joint functions, their slopes by d if wanted, and hidden units of
// both filters.
template <int columns, bool withSlope> struct TileRows {
    static constexpr int slopes = jointFunctions, hidden = jointFunctions * (withSlope ? 2 : 1);
    alignas(16) Real row[columns][tileRow(hidden + hiddenUnits)];
};

// Geometry of a group and squared differences of ev, by all threads; complete after a barrier.
template <int columns>
__device__ inline void loadTileEdges(const AttentionArguments<Real> &a, int receiver, int first, int edges,
                                     EdgeGroupOf<columns> &group, Real (&squares)[columns][numDegrees]) {
    const int k = threadIdx.x;
    if (k < edges)
        loadEdge(a.atoms, a.edges, a.cutoff, {a.tableInverseStep, a.tableIntervals}, receiver, first + k, k, group);
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

// Joint functions and hidden units, by all threads; complete after a barrier. hiddenSlope: null or where to keep act'.
template <int columns, bool withSlope>
__device__ inline void loadTileRows(const AttentionArguments<Real> &a, int edges, const EdgeGroupOf<columns> &group,
                                    const Real (&squares)[columns][numDegrees], TileRows<columns, withSlope> &rows,
                                    Real (*hiddenSlope)[hiddenUnits]) {
    using Rows = TileRows<columns, withSlope>;
    for (int k = threadIdx.x; k < jointFunctions * edges; k += tiledBlock) {
        const int e = k / jointFunctions, f = k % jointFunctions;
        const Real *piece = a.weights.jointTable + group.interval[e] * (splineOrder * jointFunctions) + f;
        Real slope;
        rows.row[e][f] = splineValue<withSlope>(piece, jointFunctions, group.position[e], slope);
        if constexpr (withSlope)
            rows.row[e][Rows::slopes + f] = slope * Real(a.tableInverseStep);
    }
    if (!a.weights.spherical0[0])
        return;
    // A thread has one unit, so that its weights are read once.
    const int unit = threadIdx.x % hiddenUnits, m = unit / numSphericalHidden, k = unit % numSphericalHidden;
    const Real *weights = (m == 0 ? a.weights.spherical0[0] : a.weights.spherical0[1]) + k;
    const Real bias = (m == 0 ? a.weights.spherical0Bias[0] : a.weights.spherical0Bias[1])[k];
    Real weight[numDegrees];
#pragma unroll
    for (int d = 0; d < numDegrees; d++)
        weight[d] = weights[d * numSphericalHidden];
#pragma unroll 1
    for (int e = threadIdx.x / hiddenUnits; e < edges; e += tiledBlock / hiddenUnits) {
        Real sum = bias, slope;
#pragma unroll
        for (int d = 0; d < numDegrees; d++)
            sum += weight[d] * squares[e][d];
        rows.row[e][Rows::hidden + unit] = activate<SO3K_ACTIVATION>(sum, slope);
        if constexpr (withSlope)
            hiddenSlope[e][unit] = slope;
    }
}

// A fragment of weights in the order of tile_layout.h, by whole warps.
__device__ inline Fragment<4> loadFragment(const Real *weights, int index) {
    const Four four = loadFour(weights + (index * 32 + threadIdx.x % 32) * 4);
    Fragment<4> fragment;
#pragma unroll
    for (int q = 0; q < 4; q++)
        fragment.set(q, four.of[q]);
    fragment.pin();
    return fragment;
}

// Sums of products of a warp's features and a group's edges: features q and edges c of tile n in
// [n][q / 2][2 * (q % 2) + c] of the lane.
template <int most> using TileSums = float[most][2][4];

// sum += one step of weights x the numbers of the rows from `column` on. Ordinary additions of what tensor cores have
// summed: see dense.cuh.
template <int most, int columns, bool withSlope>
__device__ inline void addTileStep(const TileLane &lane, const Fragment<4> (&weights)[2],
                                   const TileRows<columns, withSlope> &rows, int column, int tiles,
                                   TileSums<most> &sum) {
#pragma unroll
    for (int n = 0; n < most; n++)
        if (n < tiles) {
            const Two two = *reinterpret_cast<const Two *>(&rows.row[tileEdges * n + lane.g][column + 2 * lane.t]);
            Fragment<2> numbers;
            numbers.set(0, two.of[0]);
            numbers.set(1, two.of[1]);
#pragma unroll
            for (int p = 0; p < 2; p++) {
                float part[4] = {0, 0, 0, 0};
                multiplyTile(weights[p], numbers, part);
#pragma unroll
                for (int r = 0; r < 4; r++)
                    sum[n][p][r] += part[r];
            }
        }
}

// The warp's filters w of a group, and dR/dd in `slope` if withSlope.
template <int most, int columns, bool withSlope>
__device__ inline void tileFilters(const AttentionArguments<Real> &a, const TileLane &lane,
                                   const TileRows<columns, withSlope> &rows, int tiles, TileSums<most> &w,
                                   TileSums<most> &slope) {
    using Rows = TileRows<columns, withSlope>;
    const bool spherical = a.weights.spherical0[0];
    const int steps = jointSteps + (spherical ? hiddenSteps : 0);
    const Real *weights =
        (lane.m == 0 ? a.weights.tileForward[0] : a.weights.tileForward[1]) + lane.block * steps * 2 * 128;
    const Four bias = loadFour((lane.m == 0 ? a.weights.radial1Bias[0] : a.weights.radial1Bias[1]) + lane.feature);
#pragma unroll
    for (int n = 0; n < most; n++)
#pragma unroll
        for (int r = 0; r < 4; r++) {
            w[n][0][r] = bias.of[r / 2];
            w[n][1][r] = bias.of[2 + r / 2];
            if constexpr (withSlope)
                slope[n][0][r] = slope[n][1][r] = 0;
        }
    const int hiddenColumn = Rows::hidden + lane.m * numSphericalHidden - jointFunctions;
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        const Fragment<4> of[2] = {loadFragment(weights, 2 * step), loadFragment(weights, 2 * step + 1)};
        const bool joint = step < jointSteps;
        addTileStep(lane, of, rows, tileDepth * step + (joint ? 0 : hiddenColumn), tiles, w);
        if (withSlope && joint)
            addTileStep(lane, of, rows, tileDepth * step + Rows::slopes, tiles, slope);
    }
}

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
