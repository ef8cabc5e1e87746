// A group of edges of one receiver in shared memory: geometry and all that follows from it; and the way back from the
// gradients by distance and harmonics to the receiver's force.
#pragma once

#include "cuda/device/arguments.h"
#include "cuda/device/attention_layout.h"
#include "cuda/device/cutoff.cuh"
#include "cuda/device/shape.cuh"
#include "cuda/device/spherical_harmonics.cuh"

namespace so3krates {
namespace cuda {

constexpr int groupEdges =
    attentionGroupEdges(numFeatures, numHeads, numDegrees, numEuclidean, numRadial, sizeof(Real));

// A group that is not full ends in edges without effect: f_c and its slope are zero, everything else is finite.
struct EdgeGroup {
    alignas(16) Real harmonics[numEuclidean][groupEdges]; // Y(u)
    Real unit[3][groupEdges];                             // from receiver to sender
    Real cutoff[groupEdges], cutoffSlope[groupEdges];     // f_c and its derivative, 1/Å
    double distance[groupEdges];                          // Å, at most the cutoff
    int sender[groupEdges];
};

template <int n> struct Constant {
    static constexpr int value = n;
};

// f(Constant<d>) for every block d of Euclidean variables, unrolled.
template <int first = 0, class Function> __device__ inline void forEachDegree(Function f) {
    if constexpr (first < numDegrees) {
        f(Constant<first>());
        forEachDegree<first + 1>(f);
    }
}

__device__ inline int senderOf(const NeighborMatrix &edges, int receiver, int edge) {
    return edge < edges.count[receiver] ? edges.senders[(long long)receiver * edges.capacity + edge] : receiver;
}

// Entry e of the group, by one thread: edge `edge` of the receiver. About 40 operations in double, 150 in Real.
__device__ inline void loadEdge(const Atoms &atoms, const NeighborMatrix &edges, double cutoff, int receiver, int edge,
                                int e, EdgeGroup &group) {
    const int sender = senderOf(edges, receiver, edge);
    double r[3] = {0, 0, 0}, d = cutoff, inverse = 0;
    if (edge < edges.count[receiver]) {
        const int image = edges.images[(long long)receiver * edges.capacity + edge];
        const double *shift = atoms.shifts + 3LL * (atoms.firstImage[atoms.molecule[receiver]] + image);
        const double *from = atoms.wrapped + 3LL * receiver, *to = atoms.wrapped + 3LL * sender;
#pragma unroll
        for (int k = 0; k < 3; k++)
            r[k] = to[k] - from[k] + shift[k]; // in double: the atoms may be far from the origin
        d = squareRoot(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
        inverse = 1 / d;
    }
    double slope;
    group.cutoff[e] = Real(cutoffValue(d, cutoff, slope));
    group.cutoffSlope[e] = Real(slope);
    group.distance[e] = d < cutoff ? d : cutoff;
    group.sender[e] = sender;
    const Real x = Real(r[0] * inverse), y = Real(r[1] * inverse), z = Real(r[2] * inverse);
    group.unit[0][e] = x;
    group.unit[1][e] = y;
    group.unit[2][e] = z;
    forEachDegree([&](auto d) {
        constexpr int block = decltype(d)::value, degree = degreeOf(block), start = degreeStart(block);
        Real harmonics[2 * degree + 1];
        sphericalHarmonics<degree>(x, y, z, harmonics);
#pragma unroll
        for (int m = 0; m < 2 * degree + 1; m++)
            group.harmonics[start + m][e] = harmonics[m];
    });
}

// The receiver's force and strain; every entry of a group adds to a column of its own.
struct ForceSums {
    double sum[9][groupEdges]; // gradient g = dE/d(r_sender - r_receiver); g_a r_b of xx, yy, zz, yz, xz, xy
};

__device__ inline void clearForces(ForceSums &forces, int e) {
#pragma unroll
    for (int k = 0; k < 9; k++)
        forces.sum[k][e] = 0;
}

// Entry e, by one thread: along = dE/dd, harmonicGradient(m, Constant<block>) = dE/dY_m.
template <class HarmonicGradient>
__device__ inline void addEdgeForce(const EdgeGroup &group, int e, Real along, HarmonicGradient harmonicGradient,
                                    ForceSums &forces) {
    const Real u[3] = {group.unit[0][e], group.unit[1][e], group.unit[2][e]};
    Real gradient[3] = {0, 0, 0}; // dE/du of the polynomials in u
    forEachDegree([&](auto d) {
        constexpr int block = decltype(d)::value, degree = degreeOf(block), start = degreeStart(block);
        Real g[2 * degree + 1];
#pragma unroll
        for (int m = 0; m < 2 * degree + 1; m++)
            g[m] = harmonicGradient(start + m, d);
        sphericalHarmonicsGradient<degree>(u[0], u[1], u[2], g, gradient);
    });
    // du/dr projects on the plane normal to u, and divides by d
    const Real normal = gradient[0] * u[0] + gradient[1] * u[1] + gradient[2] * u[2];
    const double distance = group.distance[e];
    double g[3];
#pragma unroll
    for (int k = 0; k < 3; k++) {
        g[k] = (gradient[k] - normal * u[k]) / distance + along * u[k];
        forces.sum[k][e] += g[k];
    }
    const double r[3] = {distance * u[0], distance * u[1], distance * u[2]};
    forces.sum[3][e] += g[0] * r[0];
    forces.sum[4][e] += g[1] * r[1];
    forces.sum[5][e] += g[2] * r[2];
    forces.sum[6][e] += g[1] * r[2];
    forces.sum[7][e] += g[0] * r[2];
    forces.sum[8][e] += g[0] * r[1];
}

// Adds up the columns, after a barrier, by the block's first nine threads. The receiver's force is +g: the energy falls
// if it follows the gradient towards its sender. Half of the strain: the other half is the sender's.
__device__ inline void storeForces(const ForceSums &forces, int receiver, double *force, double *strain) {
    const int k = threadIdx.x;
    if (k >= 9 || (k >= 3 && !strain))
        return;
    double sum = 0;
    for (int e = 0; e < groupEdges; e++)
        sum += forces.sum[k][e];
    if (k < 3)
        force[3LL * receiver + k] += sum;
    else
        strain[6LL * receiver + k - 3] += 0.5 * sum;
}

} // namespace cuda
} // namespace so3krates
