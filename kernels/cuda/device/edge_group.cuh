// A group of edges of one receiver in shared memory: geometry and all that follows from it; and the way back from the
// gradients by distance and harmonics to the receiver's force.
#pragma once

#include "cuda/device/arguments.h"
#include "cuda/device/attention_layout.h"
#include "cuda/device/cutoff.cuh"
#include "cuda/device/shape.cuh"
#include "cuda/device/spherical_harmonics.cuh"
#include "cuda/device/spline.cuh"

namespace so3krates {
namespace cuda {

constexpr int groupEdges =
    attentionGroupEdges(numFeatures, numHeads, numDegrees, numEuclidean, numRadial, sizeof(Real));

// A group that is not full ends in edges without effect: f_c and its slope are zero, everything else is finite.
template <int columns> struct EdgeGroupOf {
    alignas(16) Real harmonics[numEuclidean][columns]; // Y(u)
    Real unit[3][columns];                             // from receiver to sender
    Real cutoff[columns], cutoffSlope[columns];        // f_c and its derivative, 1/Å
    double distance[columns];                          // Å, at most the cutoff
    Real position[columns];                            // in the interval of the radial grid, 0 to 1
    int interval[columns], sender[columns];
};
using EdgeGroup = EdgeGroupOf<groupEdges>;

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

// Entry e of the group, by one thread: edge `edge` of the receiver. Differences and the distance in double, all that
// follows from them in Real: about 25 operations in double, 160 in Real.
template <int columns>
__device__ inline void loadEdge(const Atoms &atoms, const NeighborMatrix &edges, double cutoff, const SplineGrid &grid,
                                int receiver, int edge, int e, EdgeGroupOf<columns> &group) {
    const int sender = senderOf(edges, receiver, edge);
    double r[3] = {0, 0, 0}, d = cutoff;
    Real inverse = 0;
    if (edge < edges.count[receiver]) {
        const int image = edges.images[(long long)receiver * edges.capacity + edge];
        const double *shift = atoms.shifts + 3LL * (atoms.firstImage[atoms.molecule[receiver]] + image);
        const double *from = atoms.wrapped + 3LL * receiver, *to = atoms.wrapped + 3LL * sender;
#pragma unroll
        for (int k = 0; k < 3; k++)
            r[k] = to[k] - from[k] + shift[k]; // in double: the atoms may be far from the origin
        d = squareRoot(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
        inverse = 1 / Real(d);
        d = d < cutoff ? d : cutoff;
    }
    group.cutoff[e] = cutoffValue(d, cutoff, group.cutoffSlope[e]);
    group.distance[e] = d;
    group.sender[e] = sender;
    double place = d * grid.inverseStep;
    if (place >= grid.fine)
        place = grid.fine + (place - grid.fine) * grid.inverseCoarsening;
    const int interval = place < grid.intervals ? int(place) : grid.intervals - 1;
    group.interval[e] = interval;
    group.position[e] = Real(place - interval);
    const Real x = Real(r[0]) * inverse, y = Real(r[1]) * inverse, z = Real(r[2]) * inverse;
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
template <int columns> struct ForceSumsOf {
    double sum[9][columns]; // gradient g = dE/d(r_sender - r_receiver); g_a r_b of xx, yy, zz, yz, xz, xy
};
using ForceSums = ForceSumsOf<groupEdges>;

template <int columns> __device__ inline void clearForces(ForceSumsOf<columns> &forces, int e) {
#pragma unroll
    for (int k = 0; k < 9; k++)
        forces.sum[k][e] = 0;
}

// The vector r of entry e and the gradient by it, from along = dE/dd and harmonicGradient(m, Constant<block>) =
// dE/dY_m.
template <int columns, class HarmonicGradient>
__device__ inline void edgeGradient(const EdgeGroupOf<columns> &group, int e, Real along,
                                    HarmonicGradient harmonicGradient, Real (&g)[3], Real (&r)[3]) {
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
    const Real distance = Real(group.distance[e]), inverse = 1 / distance;
#pragma unroll
    for (int k = 0; k < 3; k++) {
        g[k] = (gradient[k] - normal * u[k]) * inverse + along * u[k];
        r[k] = distance * u[k];
    }
}

// Entry e, by one thread: arguments as of edgeGradient.
template <int columns, class HarmonicGradient>
__device__ inline void addEdgeForce(const EdgeGroupOf<columns> &group, int e, Real along,
                                    HarmonicGradient harmonicGradient, ForceSumsOf<columns> &forces) {
    Real g[3], r[3];
    edgeGradient(group, e, along, harmonicGradient, g, r);
    for (int k = 0; k < 3; k++)
        forces.sum[k][e] += double(g[k]);
    forces.sum[3][e] += double(g[0] * r[0]);
    forces.sum[4][e] += double(g[1] * r[1]);
    forces.sum[5][e] += double(g[2] * r[2]);
    forces.sum[6][e] += double(g[1] * r[2]);
    forces.sum[7][e] += double(g[0] * r[2]);
    forces.sum[8][e] += double(g[0] * r[1]);
}

// Adds up the columns, after a barrier, by the block's first nine threads. The receiver's force is +g: the energy falls
// if it follows the gradient towards its sender. Half of the strain: the other half is the sender's.
template <int columns>
__device__ inline void storeForces(const ForceSumsOf<columns> &forces, int receiver, double *force, double *strain) {
    const int k = threadIdx.x;
    if (k >= 9 || (k >= 3 && !strain))
        return;
    double sum = 0;
    for (int e = 0; e < columns; e++)
        sum += forces.sum[k][e];
    if (k < 3)
        force[3LL * receiver + k] += sum;
    else
        strain[6LL * receiver + k - 3] += 0.5 * sum;
}

} // namespace cuda
} // namespace so3krates
