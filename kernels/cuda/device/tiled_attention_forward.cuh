// so3kTiledAttentionForward: what so3kAttentionForward computes, by tiles (tiled_attention.cuh). Per edge 3 F + 2 M
// numbers of the sender read. A block takes several receivers, one after the other, and keeps the weights in registers.
// Three barriers per group of up to 40 edges.
#pragma once

#include "cuda/device/tiled_attention.cuh"

namespace so3krates {
namespace cuda {

constexpr int forwardTiles = 5, forwardColumns = forwardTiles * tileEdges;

using ForwardRows = TileRows<forwardColumns, false>;

// What a warp keeps from receiver to receiver.
struct TileFilter {
    SplitFragment weights[filterSteps][2];
    Four bias;
};

__device__ inline void loadFilter(const AttentionArguments<Real> &a, const TileLane &lane, TileFilter &filter) {
    const unsigned *weights = forwardWeights(a, lane);
#pragma unroll
    for (int k = 0; k < 2 * filterSteps; k++)
        filter.weights[k / 2][k % 2] = loadFragment(weights, k);
    filter.bias = loadFour((lane.m == 0 ? a.weights.radial1Bias[0] : a.weights.radial1Bias[1]) + lane.feature);
}

// Messages of attention m through the edges of tile n, to the lane's four features (m = 0), or to the Euclidean
// variables g and g + 8 of the warp's degree (m = 1).
template <int m>
__device__ inline void tileMessages(const AttentionArguments<Real> &a, const TileLane &lane, const Four &query,
                                    const EdgeGroupOf<forwardColumns> &group, const ForwardRows &rows, int n,
                                    const TileFilter &filter, Four &message) {
    const int begin = degreeStart(lane.block), width = m == 1 ? degreeStart(lane.block + 1) - begin : 0;
    const Real *keys = m == 0 ? a.state.keyX : a.state.keyEv;
    const int first = tileEdges * n + 2 * lane.t;
    Four key[2]; // asked for before the products
#pragma unroll
    for (int c = 0; c < 2; c++)
        key[c] = loadFour(keys + tileIndex(group.sender[first + c], lane));
    TileSum w;
    clearSum(w);
#pragma unroll
    for (int step = 0; step < filterSteps; step++) {
        const SplitFour numbers = rows.row[tileEdges * n + lane.g][stepColumn<ForwardRows>(lane, step)];
#pragma unroll
        for (int p = 0; p < 2; p++)
            multiplyHalves(filter.weights[step][p], numbers, w[p]);
    }
#pragma unroll
    for (int c = 0; c < 2; c++) {
        const int e = first + c;
        const Real unscale = rows.unscale[e];
        Real product = 0;
#pragma unroll
        for (int q = 0; q < 4; q++)
            product += query.of[q] * (w[q / 2][2 * (q % 2) + c] * unscale + filter.bias.of[q]) * key[c].of[q];
        const Real coefficient = group.cutoff[e] * sumFeatures(product);
        if constexpr (m == 0) {
            const Four value = loadFour(a.state.valueX + tileIndex(group.sender[e], lane));
#pragma unroll
            for (int q = 0; q < 4; q++)
                message.of[q] += coefficient * value.of[q];
        } else {
#pragma unroll
            for (int h = 0; h < 2; h++)
                if (lane.g + 8 * h < width)
                    message.of[h] += coefficient * group.harmonics[begin + lane.g + 8 * h][e];
        }
    }
}

// The lanes' sums of messages to what they are for.
__device__ inline void storeMessage(const AttentionArguments<Real> &a, int i, const TileLane &lane, Four message) {
#pragma unroll
    for (int q = 0; q < 4; q++)
        message.of[q] = sumEdges(message.of[q]);
    if (lane.t > 0)
        return;
    if (lane.m == 0) {
        const unsigned k = tileIndex(i, lane);
        Four features = loadFour(a.features + k);
#pragma unroll
        for (int q = 0; q < 4; q++)
            features.of[q] += a.messageScale[0] * message.of[q];
        *reinterpret_cast<Four *>(a.features + k) = features;
        return;
    }
    const int begin = degreeStart(lane.block), width = degreeStart(lane.block + 1) - begin;
#pragma unroll
    for (int h = 0; h < 2; h++)
        if (lane.g + 8 * h < width) {
            const long long k = (long long)i * numEuclidean + begin + lane.g + 8 * h;
            a.state.evAttended[k] = a.state.evIn[k] + a.messageScale[1] * message.of[h];
        }
}

template <bool exists> __device__ inline void tiledForward(const AttentionArguments<Real> &a) {
    if constexpr (exists) {
        __shared__ EdgeGroupOf<forwardColumns> group;
        alignas(16) __shared__ Real squares[forwardColumns][numDegrees];
        __shared__ ForwardRows rows;
        const TileLane lane = tileLane();
        TileFilter filter;
        loadFilter(a, lane, filter);
        const Receivers receivers(a.atoms.numAtoms);
        for (int i = receivers.first; i < receivers.end; i++) {
            const int count = a.edges.count[i];
            const Four query = loadFour((lane.m == 0 ? a.state.queryX : a.state.queryEv) + tileIndex(i, lane));
            const TileGroups<forwardTiles> groups(count);
            Four message = {};
            for (int first = 0; first < count; first += groups.tiles * tileEdges) {
                const int left = (count - first + tileEdges - 1) / tileEdges;
                const int tiles = left < groups.tiles ? left : groups.tiles;
                __syncthreads();
                loadTileEdges(a, i, first, tiles * tileEdges, group, squares);
                __syncthreads();
                loadTileRows(a, tiles * tileEdges, group, squares, rows, nullptr);
                __syncthreads();
#pragma unroll 1
                for (int n = 0; n < tiles; n++)
                    if (lane.m == 0)
                        tileMessages<0>(a, lane, query, group, rows, n, filter, message);
                    else
                        tileMessages<1>(a, lane, query, group, rows, n, filter, message);
            }
            storeMessage(a, i, lane, message);
        }
    }
}

extern "C" __global__ void __launch_bounds__(tiledBlock, tiledBlocks)
    so3kTiledAttentionForward(AttentionArguments<Real> a) {
    tiledForward<useTiles>(a);
}

} // namespace cuda
} // namespace so3krates
