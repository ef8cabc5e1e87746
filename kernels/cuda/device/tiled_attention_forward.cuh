// so3kTiledAttentionForward: what so3kAttentionForward computes, by tiles (tiled_attention.cuh). Per edge 3 F + 2 M
// numbers of the sender read. A block takes several receivers, one after the other, and keeps its weights: registers,
// but for a tenth. Three barriers per group of up to 40 edges.
#pragma once

#include "cuda/device/tiled_attention.cuh"

namespace so3krates {
namespace cuda {

constexpr int forwardTiles = 5, forwardColumns = forwardTiles * tileEdges;

using ForwardRows = TileRows<forwardColumns, false>;

// What else is a thread's own: registers are short.
struct alignas(16) TileOperands {
    Four query[tiledBlock / 4], bias[tiledBlock / 4]; // by warp and g
    Four message[tiledBlock];
    Words lastSmall[2][tiledBlock]; // small parts of the weights of the last step
};

// The weights of the warp's filters, kept from receiver to receiver.
struct TileFilter {
    SplitFragment weights[filterSteps][2]; // but the small parts of the last step
};

__device__ inline void loadFilter(const AttentionArguments<Real> &a, const TileLane &lane, TileFilter &filter,
                                  TileOperands &operands) {
    const unsigned *weights = forwardWeights(a, lane);
#pragma unroll
    for (int k = 0; k < 2 * filterSteps; k++)
        filter.weights[k / 2][k % 2] = loadFragment(weights, k);
#pragma unroll
    for (int p = 0; p < 2; p++)
#pragma unroll
        for (int q = 0; q < 4; q++)
            operands.lastSmall[p][threadIdx.x].of[q] = filter.weights[filterSteps - 1][p].small[q];
    if (lane.t == 0)
        operands.bias[threadIdx.x / 4] =
            loadFour((lane.m == 0 ? a.weights.radial1Bias[0] : a.weights.radial1Bias[1]) + lane.feature);
}

// Messages of attention m through the edges of tile n, to the lane's four features (m = 0), or to the Euclidean
// variables g and g + 8 of the warp's degree (m = 1).
template <int m>
__device__ inline void tileMessages(const AttentionArguments<Real> &a, const TileLane &lane,
                                    const TileOperands &operands, const EdgeGroupOf<forwardColumns> &group,
                                    const ForwardRows &rows, int n, const TileFilter &filter, Four &message) {
    const int begin = degreeStart(lane.block), width = m == 1 ? degreeStart(lane.block + 1) - begin : 0;
    const Real *keys = m == 0 ? a.state.keyX : a.state.keyEv;
    const int first = tileEdges * n + 2 * lane.t;
    TileSum w;
    clearSum(w);
    __syncwarp(); // what follows is read here and not before
    const SplitFour *row = rows.row[tileEdges * n + lane.g];
#pragma unroll
    for (int step = 0; step < filterSteps; step++)
        if (isSplit(step)) {
            const SplitFour numbers = row[stepColumn<ForwardRows>(lane, step)];
#pragma unroll
            for (int p = 0; p < 2; p++)
                if (step == filterSteps - 1) {
                    multiplyHalves(operands.lastSmall[p][threadIdx.x].of, numbers.big, w[p]);
                    multiplyHalves(filter.weights[step][p].big, numbers.small, w[p]);
                } else {
                    multiplySmallParts(filter.weights[step][p], numbers, w[p]);
                }
        }
    __syncwarp(); // big parts are read again rather than kept: registers are short
#pragma unroll
    for (int step = 0; step < filterSteps; step++) {
        const SplitFour numbers = row[stepColumn<ForwardRows>(lane, step)];
#pragma unroll
        for (int p = 0; p < 2; p++)
            multiplyHalves(filter.weights[step][p].big, numbers.big, w[p]);
    }
    const Four query = operands.query[threadIdx.x / 4], bias = operands.bias[threadIdx.x / 4];
#pragma unroll
    for (int c = 0; c < 2; c++) {
        const int e = first + c;
        const Real unscale = rows.unscale[e];
        const Four key = loadFour(keys + tileIndex(group.sender[e], lane));
        Real product = 0;
#pragma unroll
        for (int q = 0; q < 4; q++)
            product += query.of[q] * (w[q / 2][2 * (q % 2) + c] * unscale + bias.of[q]) * key.of[q];
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
        __shared__ TileOperands operands;
        const TileLane lane = tileLane();
        TileFilter filter;
        loadFilter(a, lane, filter, operands);
        const Receivers receivers(a.atoms.numAtoms);
        for (int i = receivers.first; i < receivers.end; i++) {
            const int count = a.edges.count[i];
            if (lane.t == 0)
                operands.query[threadIdx.x / 4] =
                    loadFour((lane.m == 0 ? a.state.queryX : a.state.queryEv) + tileIndex(i, lane));
            operands.message[threadIdx.x] = {};
            for (int first = 0; first < count; first += forwardColumns) {
                const int left = (count - first + tileEdges - 1) / tileEdges;
                const int tiles = left < forwardTiles ? left : forwardTiles;
                __syncthreads();
                loadTileEdges(a, i, first, tiles * tileEdges, group, squares);
                __syncthreads();
                loadTileRows(a, tiles * tileEdges, group, squares, rows, nullptr);
                __syncthreads();
                Four message = operands.message[threadIdx.x];
#pragma unroll 1
                for (int n = 0; n < tiles; n++)
                    if (lane.m == 0)
                        tileMessages<0>(a, lane, operands, group, rows, n, filter, message);
                    else
                        tileMessages<1>(a, lane, operands, group, rows, n, filter, message);
                operands.message[threadIdx.x] = message;
            }
            storeMessage(a, i, lane, operands.message[threadIdx.x]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(tiledBlock, tiledBlocks)
    so3kTiledAttentionForward(AttentionArguments<Real> a) {
    tiledForward<useTiles>(a);
}

} // namespace cuda
} // namespace so3krates
