// The edge filters w = R(d) + S(|ev_j - ev_i|^2 per degree), one feature per thread for a group of edges: the spherical
// network D -> S -> F, and the way back through it.
//
// Per edge: both spherical filters 2 S (D + F) multiply-adds forward and as many back; every weight is read once per
// group and direction, neighboring threads side by side.
#pragma once

#include "cuda/device/radial.cuh"

namespace so3krates {
namespace cuda {

constexpr int sphericalUnits = 2 * numSphericalHidden; // of both filters

struct SphericalForward {
    Real squares[numDegrees][groupEdges]; // |ev_j - ev_i|^2
    alignas(16) Real hidden[sphericalUnits][groupEdges];
};

struct SphericalBackward {
    alignas(16) Real hiddenSlope[sphericalUnits][groupEdges];    // dE/d(before activation) at the end
    alignas(16) Real filterGradient[2][groupEdges][numFeatures]; // dE/dw; threads side by side write without conflicts
    Real squaresGradient[numDegrees][groupEdges];
};

// Squared differences of ev, by all threads. Needs nothing of the group; complete after a barrier.
__device__ inline void loadSquares(const NeighborMatrix &edges, const Real *ev, int receiver, int first,
                                   SphericalForward &spherical) {
    for (int k = threadIdx.x; k < numDegrees * groupEdges; k += blockThreads) {
        const int d = k / groupEdges, e = k % groupEdges;
        const Real *at = ev + (long long)receiver * numEuclidean;
        const Real *from = ev + (long long)senderOf(edges, receiver, first + e) * numEuclidean;
        Real sum = 0;
        for (int m = degreeStart(d); m < degreeStart(d + 1); m++)
            sum += (from[m] - at[m]) * (from[m] - at[m]);
        spherical.squares[d][e] = sum;
    }
}

// Hidden units of both filters, by all threads; complete after a barrier. slope: null or where to keep act'.
__device__ inline void sphericalHidden(const LayerWeights<Real> &weights, SphericalForward &spherical,
                                       Real (*slope)[groupEdges]) {
    for (int k = threadIdx.x; k < sphericalUnits * groupEdges; k += blockThreads) {
        const int e = k % groupEdges, unit = k / groupEdges, m = unit / numSphericalHidden;
        const int s = unit % numSphericalHidden;
        const Real *weight = m == 0 ? weights.spherical0[0] : weights.spherical0[1];
        Real sum = (m == 0 ? weights.spherical0Bias[0] : weights.spherical0Bias[1])[s];
#pragma unroll
        for (int d = 0; d < numDegrees; d++)
            sum += weight[d * numSphericalHidden + s] * spherical.squares[d][e];
        Real activationSlope;
        spherical.hidden[unit][e] = activate<SO3K_ACTIVATION>(sum, activationSlope);
        if (slope)
            slope[unit][e] = activationSlope;
    }
}

// w, and dR/dd if withSlope, of filter m (0: x, 1: ev) at the thread's place. With barriers: all threads of the block.
template <int m, bool withSlope>
__device__ inline void edgeFilter(const AttentionArguments<Real> &a, const EdgeGroup &group, const Place &place,
                                  const SphericalForward &spherical, RadialNetwork &network, Real (&w)[groupEdges],
                                  Real (&slope)[groupEdges]) {
    if (a.weights.table[m])
        radialFromTable<withSlope>(a, m, group, place.feature, w, slope);
    else
        radialFromNetwork<withSlope>(a.weights, m, place.feature, place.active, network, w, slope);
    if (a.weights.spherical0[m])
        for (int s = 0; s < numSphericalHidden; s++) {
            const Real weight = a.weights.spherical1[m][s * numFeatures + place.feature];
#pragma unroll
            for (int e = 0; e < groupEdges; e++)
                w[e] += weight * spherical.hidden[m * numSphericalHidden + s][e];
        }
}

// hiddenSlope <- dE/d(hidden before activation), from filterGradient, by all threads; complete after a barrier. A
// thread serves half of the group's edges: with S = F/4 that keeps all threads busy.
__device__ inline void sphericalHiddenGradient(const LayerWeights<Real> &weights, SphericalBackward &back) {
    constexpr int halves = groupEdges > 1 ? 2 : 1, edges = groupEdges / halves;
    for (int k = threadIdx.x; k < sphericalUnits * halves; k += blockThreads) {
        const int unit = k % sphericalUnits, first = k / sphericalUnits * edges;
        const int m = unit / numSphericalHidden, s = unit % numSphericalHidden;
        const Real *weight = (m == 0 ? weights.spherical1Back[0] : weights.spherical1Back[1]) + s;
        Real sum[edges];
#pragma unroll
        for (int e = 0; e < edges; e++)
            sum[e] = 0;
        for (int f = 0; f < numFeatures; f++) {
            const Real w = weight[f * numSphericalHidden];
#pragma unroll
            for (int e = 0; e < edges; e++)
                sum[e] += w * back.filterGradient[m][first + e][f];
        }
#pragma unroll
        for (int e = 0; e < edges; e++)
            back.hiddenSlope[unit][first + e] *= sum[e];
    }
}

// squaresGradient from hiddenSlope, by all threads; complete after a barrier.
__device__ inline void squaresGradient(const LayerWeights<Real> &weights, SphericalBackward &back) {
    for (int k = threadIdx.x; k < numDegrees * groupEdges; k += blockThreads) {
        const int d = k / groupEdges, e = k % groupEdges;
        Real sum = 0;
#pragma unroll
        for (int m = 0; m < 2; m++)
            for (int s = 0; s < numSphericalHidden; s++)
                sum +=
                    weights.spherical0[m][d * numSphericalHidden + s] * back.hiddenSlope[m * numSphericalHidden + s][e];
        back.squaresGradient[d][e] = sum;
    }
}

} // namespace cuda
} // namespace so3krates
