// so3kTiledAttentionBackward: what so3kAttentionBackward computes (its formulas are there), by tiles
// (tiled_attention.cuh). Per edge 6 F + 2 M numbers of the sender read. A block takes several receivers, one after the
// other. Five barriers per group of up to 24 edges.
#pragma once

#include "cuda/device/tiled_attention.cuh"

namespace so3krates {
namespace cuda {

constexpr int backwardTiles = 3, backwardColumns = backwardTiles * tileEdges, tiledWarps = tiledBlock / 32;

// dE/dw, split: warp by warp, the four features of lane g, of edge e of a tile. In a place in which neither what eight
// lanes write nor what they read shares banks.
struct TileExchange {
    SplitFour fours[tiledWarps][backwardTiles][tileEdges * tileWidth / 4];
    __device__ SplitFour &four(int warp, int tile, int e, int g) {
        return fours[warp][tile][tileEdges * e + (g ^ e / 2 * 2 ^ e % 2 * 4)];
    }
};
static_assert(tileWidth / 4 == tileEdges, "");

using BackwardRows = TileRows<backwardColumns, true>;

// Where a warp's degree begins among the Euclidean variables, and how many it has. In shared memory: registers are
// short.
struct TileDegrees {
    int begin[tiledWarps], width[tiledWarps];
};

struct TiledBackwardShared {
    TileDegrees degrees;
    EdgeGroupOf<backwardColumns> group;
    ForceSumsOf<backwardColumns> forces;
    alignas(16) Real squares[backwardColumns][numDegrees];
    union {
        BackwardRows rows; // until the filters are there
        TileExchange exchange;
    };
    alignas(16) Real hiddenSlope[backwardColumns][hiddenRow];
    Real squareGradient[tiledWarps][backwardColumns][numDegrees];              // dE/d(squares)
    Real along[tiledWarps][backwardColumns];                                   // dE/dd
    Real own[numDegrees][backwardColumns], other[numDegrees][backwardColumns]; // sums of q_i w k_j, of q_j w k_i of ev
    Real evGradient[tiledWarps][32];                                           // every lane adds to its own
};

// What a lane knows of the receiver: its four features, or the Euclidean variables g and g + 8 of the warp's degree.
// Read again for every group: registers are short while the filters are computed.
struct TileReceiver {
    Four query, key, value, gradient; // gradient: dE/d(message), dE/d(evAttended)
};

// The lane's share of dE/dq, dE/dk, dE/dv of the receiver.
struct TileGradients {
    Four query = {}, key = {}, value = {};
};

template <int m>
__device__ inline TileReceiver tileReceiver(const AttentionArguments<Real> &a, int i, const TileLane &lane,
                                            const TileDegrees &degrees) {
    TileReceiver receiver;
    const unsigned k = tileIndex(i, lane);
    receiver.query = loadFour((m == 0 ? a.state.queryX : a.state.queryEv) + k);
    receiver.key = loadFour((m == 0 ? a.state.keyX : a.state.keyEv) + k);
    if constexpr (m == 0) {
        receiver.value = loadFour(a.state.valueX + k);
        receiver.gradient = loadFour(a.messageGradient + k);
    } else {
        const int begin = degrees.begin[lane.warp], width = degrees.width[lane.warp];
#pragma unroll
        for (int h = 0; h < 2; h++)
            receiver.gradient.of[h] =
                lane.g + 8 * h < width ? a.evGradient[(long long)i * numEuclidean + begin + lane.g + 8 * h] : Real(0);
    }
    return receiver;
}

// dE/d(alpha) of both directions of edge e.
template <int m>
__device__ inline void tileCoefficientGradients(const AttentionArguments<Real> &a, const TileLane &lane,
                                                const TileReceiver &receiver, const TileDegrees &degrees,
                                                const EdgeGroupOf<backwardColumns> &group, int e, Real &own,
                                                Real &other) {
    own = other = 0;
    if constexpr (m == 0) {
        const unsigned k = tileIndex(group.sender[e], lane);
        const Four value = loadPassingFour(a.state.valueX + k);
        const Four messageGradient = loadFour(a.messageGradient + k);
#pragma unroll
        for (int q = 0; q < 4; q++) {
            own += receiver.gradient.of[q] * value.of[q];
            other += receiver.value.of[q] * messageGradient.of[q];
        }
    } else {
        const int begin = degrees.begin[lane.warp], width = degrees.width[lane.warp];
        const Real *from = a.evGradient + (long long)group.sender[e] * numEuclidean + begin + lane.g;
#pragma unroll
        for (int h = 0; h < 2; h++)
            if (lane.g + 8 * h < width) {
                const Real harmonic = group.harmonics[begin + lane.g + 8 * h][e];
                own += receiver.gradient.of[h] * harmonic;
                other += from[8 * h] * harmonic;
            }
        if (width % 4 != 1) // 2l+1: the parity of l
            other = -other;
    }
    own = sumFeatures(own);
    other = sumFeatures(other);
}

// The filters w of a group, and dR/dd in `slope`.
__device__ inline void tileFilters(const AttentionArguments<Real> &a, const TileLane &lane, const BackwardRows &rows,
                                   int tiles, TileSum (&w)[backwardTiles], TileSum (&slope)[backwardTiles]) {
    const unsigned *weights = forwardWeights(a, lane);
#pragma unroll
    for (int n = 0; n < backwardTiles; n++) {
        clearSum(w[n]);
        clearSum(slope[n]);
    }
#pragma unroll 1
    for (int step = 0; step < filterSteps; step++) {
        const SplitFragment of[2] = {loadFragment(weights, 2 * step), loadFragment(weights, 2 * step + 1)};
        const int column = stepColumn<BackwardRows>(lane, step);
        const bool split = isSplit(step);
#pragma unroll
        for (int n = 0; n < backwardTiles; n++)
            if (n < tiles) {
                const SplitFour *row = rows.row[tileEdges * n + lane.g];
                const SplitFour numbers = row[column];
#pragma unroll
                for (int p = 0; p < 2; p++)
                    multiplyParts(of[p], numbers, split, w[n][p]);
                if (step < jointSteps) {
                    const SplitFour slopes = row[BackwardRows::slopes + column];
#pragma unroll
                    for (int p = 0; p < 2; p++)
                        multiplyParts(of[p], slopes, split, slope[n][p]);
                }
            }
    }
    const Four bias = loadFour((lane.m == 0 ? a.weights.radial1Bias[0] : a.weights.radial1Bias[1]) + lane.feature);
#pragma unroll
    for (int n = 0; n < backwardTiles; n++)
        if (n < tiles)
#pragma unroll
            for (int c = 0; c < 2; c++) {
                const int e = tileEdges * n + 2 * lane.t + c;
                const Real unscale = rows.unscale[e], unscaleSlope = rows.unscaleSlope[e];
#pragma unroll
                for (int q = 0; q < 4; q++) {
                    float &value = w[n][q / 2][2 * (q % 2) + c];
                    value = value * unscale + bias.of[q];
                    slope[n][q / 2][2 * (q % 2) + c] *= unscaleSlope;
                }
            }
}

// Attention m of a group: the receiver's gradients of q, k and v, dE/dw into the exchange, and sums for the force.
// unscale: what one in the exchange times the weights stands for.
template <int m>
__device__ inline void tileGradients(const AttentionArguments<Real> &a, int i, const TileLane &lane, int tiles,
                                     const TileSum (&w)[backwardTiles], const TileSum (&slope)[backwardTiles],
                                     TileGradients &gradients, TiledBackwardShared &s, Real (&unscale)[backwardTiles]) {
    const TileReceiver receiver = tileReceiver<m>(a, i, lane, s.degrees);
#pragma unroll
    for (int n = 0; n < backwardTiles; n++)
        if (n < tiles) {
            Four filterGradient[2];
            float largest = 0;
#pragma unroll
            for (int c = 0; c < 2; c++) {
                const int e = tileEdges * n + 2 * lane.t + c;
                Real gOwn, gOther;
                tileCoefficientGradients<m>(a, lane, receiver, s.degrees, s.group, e, gOwn, gOther);
                const unsigned k = tileIndex(s.group.sender[e], lane);
                const Four query = loadPassingFour((m == 0 ? a.state.queryX : a.state.queryEv) + k);
                const Four key = loadPassingFour((m == 0 ? a.state.keyX : a.state.keyEv) + k);
                const Real f = a.messageScale[m] * s.group.cutoff[e];
                const Real fSlope = a.messageScale[m] * s.group.cutoffSlope[e];
                Real along = 0, sumOwn = 0, sumOther = 0;
#pragma unroll
                for (int q = 0; q < 4; q++) {
                    const Real filter = w[n][q / 2][2 * (q % 2) + c];
                    const Real own = receiver.query.of[q] * key.of[q], other = query.of[q] * receiver.key.of[q];
                    const Real gradient = gOwn * own + gOther * other;
                    along += gradient * (fSlope * filter + f * slope[n][q / 2][2 * (q % 2) + c]);
                    gradients.query.of[q] += f * gOwn * filter * key.of[q];
                    gradients.key.of[q] += f * gOther * filter * query.of[q];
                    filterGradient[c].of[q] = f * gradient;
                    largest = fmaxf(largest, fabsf(float(filterGradient[c].of[q])));
                    sumOwn += own * filter;
                    sumOther += other * filter;
                }
                along = sumFeatures(along);
                sumOther = sumFeatures(sumOther);
                if constexpr (m == 0) {
                    __syncwarp(); // the row is read once more, from the L1 cache: registers are short
                    const Four messageGradient = loadFour(a.messageGradient + k);
#pragma unroll
                    for (int q = 0; q < 4; q++)
                        gradients.value.of[q] += f * sumOther * messageGradient.of[q];
                } else {
                    sumOwn = sumFeatures(sumOwn);
                    if (lane.g == 0) {
                        s.own[lane.block][e] = sumOwn;
                        s.other[lane.block][e] = sumOther;
                    }
                }
                if (lane.g == 0)
                    s.along[lane.warp][e] = along;
            }
            const int exponent = largestExponent(largest);
            unscale[n] = halfUnscale(exponent) * a.weights.tileUnscale;
#pragma unroll
            for (int c = 0; c < 2; c++)
                s.exchange.four(lane.warp, n, 2 * lane.t + c, lane.g) =
                    splitFour(filterGradient[c], halfScale(exponent));
        }
}

// Sums of `count` values over the lanes of one t: lane 4 g + t gets the sum of value g * count / 8, in value[0].
template <int count> __device__ inline void scatterSums(Real (&value)[count]) {
    static_assert(count == 1 || count == 2 || count == 4 || count == 8, "");
    int left = count;
#pragma unroll
    for (int distance = 16; distance >= 4; distance /= 2) {
        const bool upper = threadIdx.x & distance;
        left /= 2;
#pragma unroll
        for (int k = 0; k < left; k++) {
            const Real given = upper ? value[k] : value[left + k], kept = upper ? value[left + k] : value[k];
            value[k] = kept + __shfl_xor_sync(0xffffffffu, given, distance);
        }
        if (left == 0)
            value[0] += __shfl_xor_sync(0xffffffffu, value[0], distance);
    }
}

// The warp's dE/dw in the exchange -> its share of dE/d(hidden units), by tensor cores, -> of dE/d(squares).
__device__ inline void tileSquareGradients(const AttentionArguments<Real> &a, const TileLane &lane, int tiles,
                                           const Real (&unscale)[backwardTiles], TiledBackwardShared &s) {
    const unsigned *weights = (lane.m == 0 ? a.weights.tileBack[0] : a.weights.tileBack[1]) +
                              lane.block * (hiddenTiles * backSteps * fragmentWords);
    float sum[backwardTiles][hiddenTiles][4];
#pragma unroll
    for (int n = 0; n < backwardTiles; n++)
#pragma unroll
        for (int p = 0; p < hiddenTiles; p++)
#pragma unroll
            for (int r = 0; r < 4; r++)
                sum[n][p][r] = 0;
    __syncwarp();
#pragma unroll 1
    for (int step = 0; step < backSteps; step++) {
        SplitFragment of[hiddenTiles];
#pragma unroll
        for (int p = 0; p < hiddenTiles; p++)
            of[p] = loadFragment(weights, p * backSteps + step);
#pragma unroll
        for (int n = 0; n < backwardTiles; n++)
            if (n < tiles) {
                const SplitFour numbers = s.exchange.four(lane.warp, n, lane.g, 4 * step + lane.t);
#pragma unroll
                for (int p = 0; p < hiddenTiles; p++)
                    multiplyParts(of[p], numbers, true, sum[n][p]);
            }
    }
    const Real *first = (lane.m == 0 ? a.weights.spherical0[0] : a.weights.spherical0[1]) + lane.g;
    Real weight[hiddenTiles][2][numDegrees];
#pragma unroll
    for (int p = 0; p < hiddenTiles; p++)
#pragma unroll
        for (int h = 0; h < 2; h++)
#pragma unroll
            for (int d = 0; d < numDegrees; d++)
                weight[p][h][d] = first[d * numSphericalHidden + 16 * p + 8 * h];
#pragma unroll
    for (int n = 0; n < backwardTiles; n++)
        if (n < tiles) {
            constexpr int count = 2 * powerOfTwoFrom(numDegrees);
            Real gradient[count]; // edges of the lane, degrees
#pragma unroll
            for (int k = 0; k < count; k++)
                gradient[k] = 0;
#pragma unroll
            for (int p = 0; p < hiddenTiles; p++)
#pragma unroll
                for (int r = 0; r < 4; r++) {
                    const int e = tileEdges * n + 2 * lane.t + r % 2;
                    const int unit = lane.m * numSphericalHidden + 16 * p + lane.g + r / 2 * 8;
                    const Real through = sum[n][p][r] * s.hiddenSlope[e][unit];
#pragma unroll
                    for (int d = 0; d < numDegrees; d++)
                        gradient[r % 2 * (count / 2) + d] += weight[p][r / 2][d] * through;
                }
            scatterSums(gradient);
            const int k = lane.g * count / 8, d = k % (count / 2);
            if (lane.g * count % 8 == 0 && d < numDegrees)
                s.squareGradient[lane.warp][tileEdges * n + 2 * lane.t + k / (count / 2)][d] = gradient[0] * unscale[n];
        }
}

// Through edge e's squares to the receiver's ev, a lane each, by a whole warp.
__device__ inline Real tileEvGradient(const AttentionArguments<Real> &a, int i, int e, const TiledBackwardShared &s) {
    const int lane = threadIdx.x % 32;
    if (lane >= numEuclidean)
        return 0;
    const int degree = degreeIndex(lane);
    Real gradient = 0;
#pragma unroll
    for (int warp = 0; warp < tiledWarps; warp++)
        gradient += s.squareGradient[warp][e][degree];
    const Real *ev = a.state.evIn + lane;
    return 2 * gradient * (ev[(long long)i * numEuclidean] - ev[(long long)s.group.sender[e] * numEuclidean]);
}

// The force through edge e, by one thread.
__device__ inline void tileForce(const AttentionArguments<Real> &a, int i, int e, TiledBackwardShared &s) {
    const Real c = a.messageScale[1] * s.group.cutoff[e];
    const Real *at = a.evGradient + (long long)i * numEuclidean;
    const Real *from = a.evGradient + (long long)s.group.sender[e] * numEuclidean;
    Real along = 0;
    for (int warp = 0; warp < tiledWarps; warp++)
        along += s.along[warp][e];
    addEdgeForce(
        s.group, e, along,
        [&](int m, auto d) {
            constexpr int block = decltype(d)::value, parity = parityOf(block);
            return c * (s.own[block][e] * at[m] + parity * s.other[block][e] * from[m]);
        },
        s.forces);
}

// A gradient by a row of features, by whole warps.
__device__ inline void storeTileGradient(const TileLane &lane, Four gradient, Real *row) {
#pragma unroll
    for (int q = 0; q < 4; q++)
        gradient.of[q] = sumEdges(gradient.of[q]);
    if (lane.t == 0)
        *reinterpret_cast<Four *>(row + lane.feature) = gradient;
}

// Receiver i by the whole block.
__device__ inline void tiledReceiver(const AttentionArguments<Real> &a, int i, const TileLane &lane,
                                     TiledBackwardShared &s) {
    const int count = a.edges.count[i];
    const bool spherical = a.weights.spherical0[0] && a.inputMatters;
    TileGradients gradients;
    s.evGradient[lane.warp][threadIdx.x % 32] = 0;
    if (threadIdx.x < backwardColumns)
        clearForces(s.forces, threadIdx.x);
    for (int first = 0; first < count; first += backwardColumns) {
        const int left = (count - first + tileEdges - 1) / tileEdges;
        const int tiles = left < backwardTiles ? left : backwardTiles, edges = tiles * tileEdges;
        __syncthreads();
        loadTileEdges(a, i, first, edges, s.group, s.squares);
        __syncthreads();
        loadTileRows(a, edges, s.group, s.squares, s.rows, s.hiddenSlope);
        __syncthreads();
        TileSum w[backwardTiles], slope[backwardTiles];
        tileFilters(a, lane, s.rows, tiles, w, slope);
        __syncthreads(); // the exchange takes the rows' place
        Real unscale[backwardTiles];
        if (lane.m == 0)
            tileGradients<0>(a, i, lane, tiles, w, slope, gradients, s, unscale);
        else
            tileGradients<1>(a, i, lane, tiles, w, slope, gradients, s, unscale);
        if (spherical)
            tileSquareGradients(a, lane, tiles, unscale, s);
        __syncthreads();
        if (int(threadIdx.x) < edges) // the first warp, the others go on to ev
            tileForce(a, i, threadIdx.x, s);
        if (spherical && lane.warp > 0) {
            Real evGradient = 0;
#pragma unroll 2
            for (int e = lane.warp - 1; e < edges; e += tiledWarps - 1)
                evGradient += tileEvGradient(a, i, e, s);
            s.evGradient[lane.warp][threadIdx.x % 32] += evGradient;
        }
    }
    __syncthreads();
    storeForces(s.forces, i, a.forces, a.strain);
    if (!a.inputMatters)
        return;
    const long long row = (long long)i * numFeatures;
    storeTileGradient(lane, gradients.query, (lane.m == 0 ? a.queryXGradient : a.queryEvGradient) + row);
    storeTileGradient(lane, gradients.key, (lane.m == 0 ? a.keyXGradient : a.keyEvGradient) + row);
    if (lane.m == 0)
        storeTileGradient(lane, gradients.value, a.valueXGradient + row);
    if (threadIdx.x < numEuclidean) {
        Real sum = 0;
        for (int warp = 1; warp < tiledWarps; warp++)
            sum += s.evGradient[warp][threadIdx.x];
        a.evInGradient[(long long)i * numEuclidean + threadIdx.x] = sum;
    }
}

template <bool exists> __device__ inline void tiledBackward(const AttentionArguments<Real> &a) {
    if constexpr (exists) {
        __shared__ TiledBackwardShared s;
        static_assert(!exists || sizeof(s) <= 48 * 1024, "what every GPU gives a block without being asked");
        const TileLane lane = tileLane();
        if (threadIdx.x % 32 == 0 && lane.m == 1) {
            s.degrees.begin[lane.warp] = degreeStart(lane.block);
            s.degrees.width[lane.warp] = degreeStart(lane.block + 1) - degreeStart(lane.block);
        }
        const Receivers receivers(a.atoms.numAtoms);
#pragma unroll 1
        for (int i = receivers.first; i < receivers.end; i++) {
            tiledReceiver(a, i, lane, s);
            __syncthreads(); // the sums may be cleared
        }
    }
}

extern "C" __global__ void __launch_bounds__(tiledBlock, tiledBlocks)
    so3kTiledAttentionBackward(AttentionArguments<Real> a) {
    tiledBackward<useTiles>(a);
}

} // namespace cuda
} // namespace so3krates
