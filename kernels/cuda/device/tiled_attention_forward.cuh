// so3kTiledAttentionForward: what so3kAttentionForward computes, by tiles (tiled_attention.cuh). Per edge 3 F + 2 M
// numbers of the sender read. Three barriers per group of up to 40 edges.
#pragma once

#include "cuda/device/tiled_attention.cuh"

namespace so3krates {
namespace cuda {

constexpr int forwardTiles = 5, forwardColumns = forwardTiles * tileEdges;

// Messages of attention m through a group, to the lane's four features (m = 0), or to the Euclidean variables g and
// g + 8 of the warp's degree (m = 1).
template <int m>
__device__ inline void tileMessages(const AttentionArguments<Real> &a, const TileLane &lane, const Four &query,
                                    const EdgeGroupOf<forwardColumns> &group, int tiles,
                                    const TileSums<forwardTiles> &w, Four &message) {
    const int begin = degreeStart(lane.block), width = m == 1 ? degreeStart(lane.block + 1) - begin : 0;
    const Real *keys = (m == 0 ? a.state.keyX : a.state.keyEv) + lane.feature;
#pragma unroll
    for (int n = 0; n < forwardTiles; n++)
        if (n < tiles)
#pragma unroll
            for (int c = 0; c < 2; c++) {
                const int e = tileEdges * n + 2 * lane.t + c;
                const long long row = (long long)group.sender[e] * numFeatures;
                const Four key = loadFour(keys + row);
                Real product = 0;
#pragma unroll
                for (int q = 0; q < 4; q++)
                    product += query.of[q] * w[n][q / 2][2 * (q % 2) + c] * key.of[q];
                const Real coefficient = group.cutoff[e] * sumFeatures(product);
                if constexpr (m == 0) {
                    const Four value = loadFour(a.state.valueX + row + lane.feature);
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

template <bool exists> __device__ inline void tiledForward(const AttentionArguments<Real> &a) {
    if constexpr (exists) {
        __shared__ EdgeGroupOf<forwardColumns> group;
        alignas(16) __shared__ Real squares[forwardColumns][numDegrees];
        __shared__ TileRows<forwardColumns, false> rows;
        const int i = blockIdx.x, count = a.edges.count[i];
        const TileLane lane = tileLane();
        const long long row = (long long)i * numFeatures + lane.feature;
        const Four query = loadFour((lane.m == 0 ? a.state.queryX : a.state.queryEv) + row);
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
            TileSums<forwardTiles> w, unused;
            tileFilters(a, lane, rows, tiles, w, unused);
            if (lane.m == 0)
                tileMessages<0>(a, lane, query, group, tiles, w, message);
            else
                tileMessages<1>(a, lane, query, group, tiles, w, message);
        }
#pragma unroll
        for (int q = 0; q < 4; q++)
            message.of[q] = sumEdges(message.of[q]);
        if (lane.t > 0)
            return;
        if (lane.m == 0) {
            Four features = loadFour(a.features + row);
#pragma unroll
            for (int q = 0; q < 4; q++)
                features.of[q] += a.messageScale[0] * message.of[q];
            *reinterpret_cast<Four *>(a.features + row) = features;
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
}

extern "C" __global__ void __launch_bounds__(tiledBlock, tiledBlocks)
    so3kTiledAttentionForward(AttentionArguments<Real> a) {
    tiledForward<useTiles>(a);
}

} // namespace cuda
} // namespace so3krates
