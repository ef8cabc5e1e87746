// so3kAttentionForward: messages to the features and to the Euclidean variables of every receiver i,
//   features_i += sum_j alpha_ij v_j per head,   evAttended_i = evIn_i + sum_j alpha_ij Y(u_ij) per degree,
//   alpha_ij = scale f_c(d) sum_c q_i w_ij k_j,
// for features [N][F], ev [N][M].
//
// One block of attentionThreads() threads per receiver; a thread is a feature of either attention (block_sums.cuh), and
// edges pass in groups of groupEdges. Per edge (F = 128, S = 32, D = 4, with the table): 2 F (5 + S + 1) + F + 2 S D
// multiply-adds, about 20,000 floating-point operations; reads 3 F + 2 M numbers of the sender, 12 F of the tables,
// 2 F S / groupEdges weights, nearly all from the caches. Per receiver 3 F + M numbers read and F + M written. Nothing
// per edge is written to memory. Four barriers per group with the table.
#pragma once

#include "cuda/device/edge_filter.cuh"

namespace so3krates {
namespace cuda {

// Sums of q_i w k_j over the blocks of attention m.
template <int m>
__device__ inline void coefficientSums(const Real *keys, const EdgeGroup &group, const Place &place, Real query,
                                       const Real (&w)[groupEdges], BlockSums<m> &sums) {
    Real product[groupEdges];
#pragma unroll
    for (int e = 0; e < groupEdges; e++)
        product[e] = query * w[e] * keys[(long long)group.sender[e] * numFeatures + place.feature];
    sums.store(product);
}

extern "C" __global__ void __launch_bounds__(blockThreads, processorBlocks)
    so3kAttentionForward(AttentionArguments<Real> a) {
    __shared__ EdgeGroup group;
    __shared__ SphericalForward spherical;
    __shared__ RadialNetwork network;
    __shared__ BlockSums<0> sumsX;
    __shared__ BlockSums<1> sumsEv;
    const int i = blockIdx.x, count = a.edges.count[i], entry = int(threadIdx.x) - (blockThreads - 32);
    const bool useTable = a.weights.table[0], useSpherical = a.weights.spherical0[0];
    const Place x = placeOf<0>(threadIdx.x), ev = placeOf<1>(threadIdx.x);
    const long long row = (long long)i * numFeatures;
    const Real queryX = x.active ? a.state.queryX[row + x.feature] : Real(0);
    const Real queryEv = ev.active ? a.state.queryEv[row + ev.feature] : Real(0);
    const int component = threadIdx.x, degree = component < numEuclidean ? degreeIndex(component) : 0;
    Real message = 0, evMessage = 0;
    for (int first = 0; first < count; first += groupEdges) {
        __syncthreads();
        if (entry >= 0 && entry < groupEdges)
            loadEdge(a.atoms, a.edges, a.cutoff, a.grid, i, first + entry, entry, group);
        if (useSpherical)
            loadSquares(a.edges, a.state.evIn, i, first, spherical);
        __syncthreads();
        if (useSpherical)
            sphericalHidden(a.weights, spherical, nullptr);
        if (!useTable)
            loadBasis(a.basisParameters, group, network);
        __syncthreads();
        Real w[groupEdges], unused[groupEdges];
        edgeFilter<0, false>(a, group, x, spherical, network, w, unused);
        coefficientSums<0>(a.state.keyX, group, x, queryX, w, sumsX);
        edgeFilter<1, false>(a, group, ev, spherical, network, w, unused);
        coefficientSums<1>(a.state.keyEv, group, ev, queryEv, w, sumsEv);
        __syncthreads();
#pragma unroll
        for (int e = 0; e < groupEdges; e++)
            message += group.cutoff[e] * sumsX.of(x.block, e) *
                       a.state.valueX[(long long)group.sender[e] * numFeatures + x.feature];
        if (component < numEuclidean) {
#pragma unroll
            for (int e = 0; e < groupEdges; e++)
                evMessage += group.cutoff[e] * sumsEv.of(degree, e) * group.harmonics[component][e];
        }
    }
    if (x.active)
        a.features[row + x.feature] += a.messageScale[0] * message;
    if (component < numEuclidean) {
        const long long k = (long long)i * numEuclidean + component;
        a.state.evAttended[k] = a.state.evIn[k] + a.messageScale[1] * evMessage;
    }
}

} // namespace cuda
} // namespace so3krates
