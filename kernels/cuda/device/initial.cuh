// Euclidean variables that start from the neighborhood (Eq. 11 of the paper): ev_i = 1/<N> sum_j f_c(d_ij) Y(u_ij).
// A warp per receiver, lanes over its neighbors.
#pragma once

#include "cuda/device/atom_arguments.h"
#include "cuda/device/cutoff.cuh"
#include "cuda/device/shape.cuh"
#include "cuda/device/spherical_harmonics.cuh"
#include "cuda/device/warp.cuh"

namespace so3krates {
namespace cuda {

// Vector from the receiver to the sender of its k-th edge, its length and direction.
struct InitialEdge {
    int sender;
    double r[3], distance;
    Real unit[3];
};

__device__ inline InitialEdge initialEdge(const InitialArguments<Real> &a, int i, int k) {
    const long long place = (long long)i * a.edges.capacity + k;
    const double *shift = a.atoms.shifts + 3LL * (a.atoms.firstImage[a.atoms.molecule[i]] + a.edges.images[place]);
    InitialEdge edge;
    edge.sender = a.edges.senders[place];
    double square = 0;
    for (int x = 0; x < 3; x++) {
        edge.r[x] = a.atoms.wrapped[3LL * edge.sender + x] - a.atoms.wrapped[3LL * i + x] + shift[x];
        square += edge.r[x] * edge.r[x];
    }
    edge.distance = squareRoot(square);
    for (int x = 0; x < 3; x++)
        edge.unit[x] = Real(edge.r[x] / edge.distance);
    return edge;
}

// One degree after the other, so that only its 2l+1 sums live in registers.
template <int block> __device__ inline void initialDegree(const InitialArguments<Real> &a, int i) {
    if constexpr (block < numDegrees) {
        constexpr int degree = degreeOf(block), width = 2 * degree + 1;
        const int lane = threadIdx.x % 32;
        Real sum[width] = {};
        for (int k = lane; k < a.edges.count[i]; k += 32) {
            const InitialEdge edge = initialEdge(a, i, k);
            double slope;
            const Real f = Real(a.scale * cutoffValue(edge.distance, a.cutoff, slope));
            Real y[width];
            sphericalHarmonics<degree>(edge.unit[0], edge.unit[1], edge.unit[2], y);
            for (int m = 0; m < width; m++)
                sum[m] += f * y[m];
        }
        for (int m = 0; m < width; m++) {
            const Real total = warpSum(sum[m]);
            if (lane == 0)
                a.evIn[(long long)i * numEuclidean + degreeStart(block) + m] = total;
        }
        initialDegree<block + 1>(a, i);
    }
}

// evIn [N][M]. Reads the list once per degree.
extern "C" __global__ void so3kInitialEuclidean(InitialArguments<Real> a) {
    const int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (i < a.atoms.numAtoms)
        initialDegree<0>(a, i);
}

// Adds dE/du of the pair to gradient and returns sum_m g_m Y_m, with g the gradients of both atoms' variables.
template <int block>
__device__ inline Real initialPairBackward(const InitialArguments<Real> &a, int i, const InitialEdge &edge,
                                           Real (&gradient)[3]) {
    if constexpr (block < numDegrees) {
        constexpr int degree = degreeOf(block), width = 2 * degree + 1;
        const long long start = degreeStart(block);
        const Real *gI = a.evGradient + (long long)i * numEuclidean + start;
        const Real *gJ = a.evGradient + (long long)edge.sender * numEuclidean + start;
        Real g[width], y[width], along = 0;
        sphericalHarmonics<degree>(edge.unit[0], edge.unit[1], edge.unit[2], y);
        for (int m = 0; m < width; m++) {
            g[m] = gI[m] + parityOf(block) * gJ[m];
            along += g[m] * y[m];
        }
        sphericalHarmonicsGradient<degree>(edge.unit[0], edge.unit[1], edge.unit[2], g, gradient);
        return along + initialPairBackward<block + 1>(a, i, edge, gradient);
    } else {
        return 0;
    }
}

// Forces and strain [N] from evGradient = dE/d(evIn), of both ends of every edge.
extern "C" __global__ void so3kInitialEuclideanBackward(InitialArguments<Real> a) {
    const int lane = threadIdx.x % 32, i = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (i >= a.atoms.numAtoms)
        return;
    double force[3] = {0, 0, 0}, strain[6] = {0, 0, 0, 0, 0, 0};
    for (int k = lane; k < a.edges.count[i]; k += 32) {
        const InitialEdge edge = initialEdge(a, i, k);
        double slope;
        const double f = cutoffValue(edge.distance, a.cutoff, slope);
        Real gradient[3] = {0, 0, 0};
        const double along = initialPairBackward<0>(a, i, edge, gradient);
        double normal = 0, g[3];
        for (int x = 0; x < 3; x++)
            normal += double(gradient[x]) * edge.unit[x];
        for (int x = 0; x < 3; x++) { // du/dr projects on the plane normal to u, and divides by d
            g[x] = a.scale * (f * (gradient[x] - normal * edge.unit[x]) / edge.distance + slope * along * edge.unit[x]);
            force[x] += g[x];
        }
        strain[0] += 0.5 * g[0] * edge.r[0];
        strain[1] += 0.5 * g[1] * edge.r[1];
        strain[2] += 0.5 * g[2] * edge.r[2];
        strain[3] += 0.5 * g[1] * edge.r[2];
        strain[4] += 0.5 * g[0] * edge.r[2];
        strain[5] += 0.5 * g[0] * edge.r[1];
    }
    addForce(lane, force, a.forces + 3LL * i);
    if (a.strain)
        addStrainTotal(lane, strain, a.strain + 6LL * i);
}

} // namespace cuda
} // namespace so3krates
