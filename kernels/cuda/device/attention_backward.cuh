// so3kAttentionBackward: the way back through the attention of a layer, complete for every receiver i by itself: from
// G = dE/d(message) and dE/d(evAttended) of all atoms to i's gradients of q, k, v and ev and to its force. Both
// directions of an edge are computed here, i<-j and j<-i, the latter from q, k, v, G of the sender: filters are
// symmetric, harmonics of the other direction carry the parity (-1)^l. Filters are computed again, not stored.
//   g_ij = dE/d(alpha_ij) = sum_c G_i v_j per head, dE/d(evAttended_i) . Y(u) per degree
//   dE/dq_i = sum_j c g_ij w k_j,  dE/dk_i = sum_j c g_ji w q_j,  dE/dv_i = sum_j alpha_ji G_j,   c = scale f_c(d)
//   dE/dw = c (g_ij q_i k_j + g_ji q_j k_i), through the spherical network to dE/d(evIn_i)
//   dE/dd = sum (g_ij q_i k_j + g_ji q_j k_i) (c' w + c dR/dd),  dE/dY(u) = alpha_ij dE/dev_i + (-1)^l alpha_ji
//   dE/dev_j
//
// Blocks and groups as in attention_forward.cuh. Per edge (F = 128, S = 32, D = 4, with the table): 2 F (9 + 2 S + 20)
// + 4 S D multiply-adds, about 50,000 floating-point operations; reads 6 F + 2 M numbers of the sender, 12 F of the
// tables, 4 F S / groupEdges weights, nearly all from the caches. Per receiver 6 F + 2 M numbers read, 5 F + M and 3
// (with strain 9) doubles written. Nothing per edge is written to memory. Six barriers per group with the table. A
// first layer (inputMatters 0, no spherical filter) leaves out all but the force.
#pragma once

#include "cuda/device/edge_filter.cuh"

namespace so3krates {
namespace cuda {

struct AttentionBackwardShared {
    EdgeGroup group;
    ForceSums forces;
    SphericalForward spherical;
    SphericalBackward back;
    RadialNetwork network;
    BlockSums<0> gradientX[2];                  // g_ij, g_ji of the heads
    Real gradientEv[2][numDegrees][groupEdges]; // of the degrees
    BlockSums<0> otherX;                        // sums of q_j w k_i
    BlockSums<1> ownEv, otherEv;                // sums of q_i w k_j and q_j w k_i
    SegmentSums<32> along;                      // dE/dd
};
static_assert(sizeof(AttentionBackwardShared) <= 48 * 1024, "see attentionGroupEdges");

// One attention's features of the receiver, at the thread's place.
struct ReceiverState {
    Real query = 0, key = 0, queryGradient = 0, keyGradient = 0;
};

template <int m> __device__ inline ReceiverState receiverState(const LayerState<Real> &state, int i, Place place) {
    ReceiverState receiver;
    if (place.active) { // idle threads add zeros
        const long long k = (long long)i * numFeatures + place.feature;
        receiver.query = (m == 0 ? state.queryX : state.queryEv)[k];
        receiver.key = (m == 0 ? state.keyX : state.keyEv)[k];
    }
    return receiver;
}

// gradientX, gradientEv: dE/d(alpha) of both directions. Complete after a barrier.
__device__ inline void coefficientGradients(const AttentionArguments<Real> &a, int i, const Place &x, Real value,
                                            Real gradient, AttentionBackwardShared &s) {
    for (int k = threadIdx.x; k < numDegrees * groupEdges; k += blockThreads) {
        const int d = k / groupEdges, e = k % groupEdges, begin = degreeStart(d), end = degreeStart(d + 1);
        const Real *at = a.evGradient + (long long)i * numEuclidean;
        const Real *from = a.evGradient + (long long)s.group.sender[e] * numEuclidean;
        Real own = 0, other = 0;
        for (int m = begin; m < end; m++) {
            own += at[m] * s.group.harmonics[m][e];
            other += from[m] * s.group.harmonics[m][e];
        }
        s.gradientEv[0][d][e] = own;
        s.gradientEv[1][d][e] = (end - begin) % 4 == 1 ? other : -other; // 2l+1: the parity of l
    }
    Real own[groupEdges], other[groupEdges];
#pragma unroll
    for (int e = 0; e < groupEdges; e++) {
        const long long k = (long long)s.group.sender[e] * numFeatures + x.feature;
        own[e] = gradient * a.state.valueX[k];
        other[e] = value * a.messageGradient[k];
    }
    s.gradientX[0].store(own);
    s.gradientX[1].store(other);
}

// Attention m at the thread's place, for the group: its gradients of q and k, its share of dE/dd in `along`, dE/dw and
// the sums for the coefficients.
template <int m>
__device__ inline void filterStep(const AttentionArguments<Real> &a, const Place &place, ReceiverState &receiver,
                                  Real (&along)[groupEdges], AttentionBackwardShared &s) {
    const Real *const queries = m == 0 ? a.state.queryX : a.state.queryEv;
    const Real *const keys = m == 0 ? a.state.keyX : a.state.keyEv;
    Real w[groupEdges], slope[groupEdges], own[groupEdges], other[groupEdges];
    edgeFilter<m, true>(a, s.group, place, s.spherical, s.network, w, slope);
#pragma unroll
    for (int e = 0; e < groupEdges; e++) {
        const long long k = (long long)s.group.sender[e] * numFeatures + place.feature;
        const Real query = queries[k], key = keys[k];
        const Real c = a.messageScale[m] * s.group.cutoff[e], cSlope = a.messageScale[m] * s.group.cutoffSlope[e];
        const Real gOwn = m == 0 ? s.gradientX[0].of(place.block, e) : s.gradientEv[0][place.block][e];
        const Real gOther = m == 0 ? s.gradientX[1].of(place.block, e) : s.gradientEv[1][place.block][e];
        own[e] = receiver.query * key;
        other[e] = query * receiver.key;
        const Real gradient = gOwn * own[e] + gOther * other[e];
        along[e] += gradient * (cSlope * w[e] + c * slope[e]);
        receiver.queryGradient += c * gOwn * w[e] * key;
        receiver.keyGradient += c * gOther * w[e] * query;
        if (place.active)
            s.back.filterGradient[m][e][place.feature] = c * gradient;
        own[e] *= w[e];
        other[e] *= w[e];
    }
    if constexpr (m == 0) {
        if (a.inputMatters)
            s.otherX.store(other);
    } else {
        s.ownEv.store(own);
        s.otherEv.store(other);
    }
}

// The force through entry e of the group, by one thread.
__device__ inline void entryForce(const AttentionArguments<Real> &a, int i, int e, AttentionBackwardShared &s) {
    const Real c = a.messageScale[1] * s.group.cutoff[e];
    const Real *at = a.evGradient + (long long)i * numEuclidean;
    const Real *from = a.evGradient + (long long)s.group.sender[e] * numEuclidean;
    addEdgeForce(
        s.group, e, s.along.sum(0, blockThreads / 32, e),
        [&](int m, auto d) {
            constexpr int block = decltype(d)::value, parity = parityOf(block);
            return c * (s.ownEv.of(block, e) * at[m] + parity * s.otherEv.of(block, e) * from[m]);
        },
        s.forces);
}

extern "C" __global__ void __launch_bounds__(blockThreads, processorBlocks)
    so3kAttentionBackward(AttentionArguments<Real> a) {
    __shared__ AttentionBackwardShared s;
    const int i = blockIdx.x, count = a.edges.count[i], entry = int(threadIdx.x) - (blockThreads - 32);
    const bool isEntry = entry >= 0 && entry < groupEdges;
    const bool useTable = a.weights.table[0], useSpherical = a.weights.spherical0[0];
    const Place x = placeOf<0>(threadIdx.x), ev = placeOf<1>(threadIdx.x);
    const long long row = (long long)i * numFeatures;
    ReceiverState ofX = receiverState<0>(a.state, i, x), ofEv = receiverState<1>(a.state, i, ev);
    const Real value = x.active ? a.state.valueX[row + x.feature] : Real(0);
    const Real gradient = x.active ? a.messageGradient[row + x.feature] : Real(0);
    const int component = threadIdx.x, degree = component < numEuclidean ? degreeIndex(component) : 0;
    Real valueGradient = 0, evGradient = 0;
    if (isEntry)
        clearForces(s.forces, entry);
    for (int first = 0; first < count; first += groupEdges) {
        __syncthreads();
        if (isEntry)
            loadEdge(a.atoms, a.edges, a.cutoff, a.grid, i, first + entry, entry, s.group);
        if (useSpherical)
            loadSquares(a.edges, a.state.evIn, i, first, s.spherical);
        __syncthreads();
        coefficientGradients(a, i, x, value, gradient, s);
        if (useSpherical)
            sphericalHidden(a.weights, s.spherical, s.back.hiddenSlope);
        if (!useTable)
            loadBasis(a.basisParameters, s.group, s.network);
        __syncthreads();
        Real along[groupEdges];
#pragma unroll
        for (int e = 0; e < groupEdges; e++)
            along[e] = 0;
        filterStep<0>(a, x, ofX, along, s);
        filterStep<1>(a, ev, ofEv, along, s);
        s.along.store(along);
        __syncthreads();
        if (isEntry)
            entryForce(a, i, entry, s);
        if (!a.inputMatters)
            continue;
#pragma unroll
        for (int e = 0; e < groupEdges; e++)
            valueGradient += s.group.cutoff[e] * s.otherX.of(x.block, e) *
                             a.messageGradient[(long long)s.group.sender[e] * numFeatures + x.feature];
        if (!useSpherical)
            continue;
        sphericalHiddenGradient(a.weights, s.back);
        __syncthreads();
        squaresGradient(a.weights, s.back);
        __syncthreads();
        if (component < numEuclidean) {
            const Real at = a.state.evIn[(long long)i * numEuclidean + component];
#pragma unroll
            for (int e = 0; e < groupEdges; e++)
                evGradient -= 2 * s.back.squaresGradient[degree][e] *
                              (a.state.evIn[(long long)s.group.sender[e] * numEuclidean + component] - at);
        }
    }
    __syncthreads();
    storeForces(s.forces, i, a.forces, a.strain);
    if (!a.inputMatters)
        return;
    if (x.active) {
        a.queryXGradient[row + x.feature] = ofX.queryGradient;
        a.keyXGradient[row + x.feature] = ofX.keyGradient;
        a.valueXGradient[row + x.feature] = a.messageScale[0] * valueGradient;
    }
    if (ev.active) {
        a.queryEvGradient[row + ev.feature] = ofEv.queryGradient;
        a.keyEvGradient[row + ev.feature] = ofEv.keyGradient;
    }
    if (component < numEuclidean)
        a.evInGradient[(long long)i * numEuclidean + component] = evGradient;
}

} // namespace cuda
} // namespace so3krates
