// Radial part of an edge filter, R(d) and dR/dd of one feature per thread for a group of edges: the spline table, or
// the network on basis functions of the distance, K -> F -> F.
//
// Per edge, filter and feature: table 6 numbers read (neighboring threads side by side), 5 multiply-adds, 9 with the
// slope; network K + F multiply-adds, twice that with slopes, every weight read once per group.
#pragma once

#include "cuda/device/activation.cuh"
#include "cuda/device/block_sums.cuh"
#include "cuda/device/radial_basis.cuh"

namespace so3krates {
namespace cuda {

// Work space of the networks: values, then slopes.
struct RadialNetwork {
    alignas(16) Real basis[2][numRadial][groupEdges];
    alignas(16) Real hidden[2][groupEdges][numFeatures]; // as SphericalBackward::filterGradient
};

// Basis functions of the group, by all threads. Needs the group's geometry; complete after a barrier.
__device__ inline void loadBasis(const double *parameters, const EdgeGroup &group, RadialNetwork &network) {
    for (int k = threadIdx.x; k < numRadial * groupEdges; k += blockThreads) {
        const int e = k % groupEdges;
        double slope;
        network.basis[0][k / groupEdges][e] =
            Real(radialBasis(parameters, numRadial, k / groupEdges, group.distance[e], slope));
        network.basis[1][k / groupEdges][e] = Real(slope);
    }
}

template <bool withSlope>
__device__ inline void radialFromTable(const AttentionArguments<Real> &a, int m, const EdgeGroup &group, int feature,
                                       Real (&value)[groupEdges], Real (&slope)[groupEdges]) {
#pragma unroll
    for (int e = 0; e < groupEdges; e++) {
        const Real *piece = a.weights.table[m] + (long long)group.interval[e] * splineOrder * numFeatures + feature;
        value[e] = splineValue<withSlope>(piece, numFeatures, group.position[e], slope[e]);
        if constexpr (withSlope)
            slope[e] *= Real(inverseWidth(a.grid, group.interval[e]));
    }
}

// Hidden unit and feature have the same number in a thread. With barriers: all threads of the block.
template <bool withSlope>
__device__ inline void radialFromNetwork(const LayerWeights<Real> &weights, int m, int feature, bool active,
                                         RadialNetwork &network, Real (&value)[groupEdges], Real (&slope)[groupEdges]) {
    const Real hiddenBias = weights.radial0Bias[m][feature];
#pragma unroll
    for (int e = 0; e < groupEdges; e++) {
        value[e] = hiddenBias;
        slope[e] = 0;
    }
    for (int k = 0; k < numRadial; k++) {
        const Real weight = weights.radial0[m][(long long)k * numFeatures + feature];
#pragma unroll
        for (int e = 0; e < groupEdges; e++) {
            value[e] += weight * network.basis[0][k][e];
            if constexpr (withSlope)
                slope[e] += weight * network.basis[1][k][e];
        }
    }
    __syncthreads(); // hidden of the other filter has been read
    if (active) {
#pragma unroll
        for (int e = 0; e < groupEdges; e++) {
            Real activationSlope;
            network.hidden[0][e][feature] = activate<SO3K_ACTIVATION>(value[e], activationSlope);
            if constexpr (withSlope)
                network.hidden[1][e][feature] = activationSlope * slope[e];
        }
    }
    __syncthreads();
    const Real bias = weights.radial1Bias[m][feature];
#pragma unroll
    for (int e = 0; e < groupEdges; e++) {
        value[e] = bias;
        slope[e] = 0;
    }
#pragma unroll 8
    for (int k = 0; k < numFeatures; k++) { // several at once: an edge's numbers come in one read
        const Real weight = weights.radial1[m][(long long)k * numFeatures + feature];
#pragma unroll
        for (int e = 0; e < groupEdges; e++) {
            value[e] += weight * network.hidden[0][e][k];
            if constexpr (withSlope)
                slope[e] += weight * network.hidden[1][e][k];
        }
    }
}

} // namespace cuda
} // namespace so3krates
