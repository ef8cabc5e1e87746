// Euclidean variables from the neighborhood, Eq. 11 of the SO3krates paper: ev_i = scale sum_j f_c(d_ij) Y(u_ij), and
// the way back. One block of 32 threads per receiver, edges in groups of groupEdges; per edge some 200 floating-point
// operations forward and 400 back; reads 3 doubles and two integers of each neighbor, back also its M gradients.
#pragma once

#include "cuda/device/edge_group.cuh"
#include "cuda/device/initial_euclidean.h"

namespace so3krates {
namespace cuda {

// ev [N][M] from positions.
extern "C" __global__ void __launch_bounds__(32) so3kInitialEuclidean(InitialEuclideanArguments<Real> a) {
    __shared__ EdgeGroup group;
    const int i = blockIdx.x, count = a.edges.count[i], m = threadIdx.x;
    Real sum = 0;
    for (int first = 0; first < count; first += groupEdges) {
        __syncthreads();
        if (threadIdx.x < groupEdges)
            loadEdge(a.atoms, a.edges, a.cutoff, {0, 0}, i, first + threadIdx.x, threadIdx.x, group);
        __syncthreads();
        if (m < numEuclidean)
#pragma unroll
            for (int e = 0; e < groupEdges; e++)
                sum += group.cutoff[e] * group.harmonics[m][e];
    }
    if (m < numEuclidean)
        a.ev[(long long)i * numEuclidean + m] = a.scale * sum;
}

// forces [N][3] and strain [N][6] += the receiver's share, from dE/d(ev) [N][M].
extern "C" __global__ void __launch_bounds__(32) so3kInitialEuclideanBackward(InitialEuclideanArguments<Real> a) {
    __shared__ EdgeGroup group;
    __shared__ ForceSums forces;
    const int i = blockIdx.x, count = a.edges.count[i], e = threadIdx.x;
    if (e < groupEdges)
        clearForces(forces, e);
    for (int first = 0; first < count && e < groupEdges; first += groupEdges) {
        loadEdge(a.atoms, a.edges, a.cutoff, {0, 0}, i, first + e, e, group); // and nobody else reads entry e
        const Real *at = a.evGradient + (long long)i * numEuclidean;
        const Real *from = a.evGradient + (long long)group.sender[e] * numEuclidean;
        Real along = 0; // both directions: the other one's harmonics carry the parity
        forEachDegree([&](auto d) {
            constexpr int block = decltype(d)::value, parity = parityOf(block);
#pragma unroll
            for (int m = degreeStart(block); m < degreeStart(block + 1); m++)
                along += group.harmonics[m][e] * (at[m] + parity * from[m]);
        });
        addEdgeForce(
            group, e, a.scale * group.cutoffSlope[e] * along,
            [&](int m, auto d) {
                constexpr int block = decltype(d)::value, parity = parityOf(block);
                return a.scale * group.cutoff[e] * (at[m] + parity * from[m]);
            },
            forces);
    }
    __syncthreads();
    storeForces(forces, i, a.forces, a.strain);
}

} // namespace cuda
} // namespace so3krates
