// The attention of a first layer whose ev is zero: its coefficients are functions of the distance for each pair of
// kinds of atoms (radial/first_layer_tables.h), and its values v depend on the kind alone. So nothing of width F is
// read or computed per edge:
//   features_i += sum_kinds (sum_{j of the kind} alpha_ij) v_kind per head,   evAttended_i = sum_j alpha_ij Y(u_ij)
// and back, with G = dE/d(message), products_i,kind = G_i v_kind per head = dE/d(alpha_ij) for j of the kind.
//
// A warp per receiver, lanes are edges; geometry as in edge_group.cuh. Per edge (H = D = 4, M = 24) about 300
// floating-point operations forward and 700 back; reads 6 rows of the table (384 bytes) and, on the way back, H + M
// numbers of the sender.
#pragma once

#include "cuda/device/edge_group.cuh"
#include "cuda/device/first_layer_arguments.h"
#include "cuda/device/spline.cuh"
#include "cuda/device/warp.cuh"

namespace so3krates {
namespace cuda {

static_assert(2 * (numHeads + numDegrees) <= firstLayerMostRow, "these kernels are left out of such shapes");
constexpr int laneColumns = 33; // lanes walk along rows and along columns without bank conflicts

struct FirstLayerForwardShared {
    EdgeGroupOf<laneColumns> group;
    Real alpha[numHeads + numDegrees][laneColumns];
    Real kindSums[firstLayerKinds * numHeads];
    int kind[32];
};

struct FirstLayerBackwardShared {
    EdgeGroupOf<laneColumns> group;
    Real from[numEuclidean][laneColumns]; // dE/d(evAttended) of the senders
};
static_assert(firstLayerWarps * sizeof(FirstLayerForwardShared) <= 48 * 1024, "see firstLayerMostRow");
static_assert(firstLayerWarps * sizeof(FirstLayerBackwardShared) <= 48 * 1024, "see firstLayerMostRow");

// The lane's edge: its geometry, and the piece of the table for its receiver's and sender's kinds.
__device__ inline const Real *loadLaneEdge(const FirstLayerArguments<Real> &a, int i, int edge,
                                           EdgeGroupOf<laneColumns> &group, int &kind) {
    const int lane = threadIdx.x % 32;
    loadEdge(a.atoms, a.edges, a.cutoff, a.grid, i, edge, lane, group);
    kind = a.kind[group.sender[lane]];
    const int table = a.slot[a.kind[i]] * a.numSlots + a.slot[kind];
    const long long piece = (long long)table * a.grid.intervals + group.interval[lane];
    return a.table + piece * splineOrder * a.tableRow;
}

extern "C" __global__ void __launch_bounds__(32 * firstLayerWarps) so3kFirstLayerForward(FirstLayerArguments<Real> a) {
    __shared__ FirstLayerForwardShared ofWarp[firstLayerWarps];
    const int lane = threadIdx.x % 32, i = blockIdx.x * firstLayerWarps + threadIdx.x / 32;
    if (i >= a.atoms.numAtoms)
        return;
    FirstLayerForwardShared &s = ofWarp[threadIdx.x / 32];
    const int count = a.edges.count[i], sums = a.numKinds * numHeads;
    const int degree = lane < numEuclidean ? degreeIndex(lane) : 0;
    for (int k = lane; k < sums; k += 32)
        s.kindSums[k] = 0;
    Real evMessage = 0;
    for (int first = 0; first < count; first += 32) {
        __syncwarp();
        int kindOfSender;
        const Real *piece = loadLaneEdge(a, i, first + lane, s.group, kindOfSender);
        s.kind[lane] = kindOfSender;
        const Real t = s.group.position[lane], c = s.group.cutoff[lane];
        Real unused;
#pragma unroll 4
        for (int h = 0; h < numHeads; h++)
            s.alpha[h][lane] = c * splineValue<false>(piece + h, a.tableRow, t, unused);
#pragma unroll
        for (int d = 0; d < numDegrees; d++)
            s.alpha[numHeads + d][lane] = c * splineValue<false>(piece + 2 * numHeads + d, a.tableRow, t, unused);
        __syncwarp();
        const int edges = count - first < 32 ? count - first : 32;
        for (int k = lane; k < sums; k += 32) {
            const int kind = k / numHeads;
            Real sum = 0;
            for (int e = 0; e < edges; e++)
                sum += s.kind[e] == kind ? s.alpha[k % numHeads][e] : Real(0);
            s.kindSums[k] += sum;
        }
        if (lane < numEuclidean)
            for (int e = 0; e < edges; e++)
                evMessage += s.alpha[numHeads + degree][e] * s.group.harmonics[lane][e];
    }
    __syncwarp();
    for (int f = lane; f < numFeatures; f += 32) {
        Real message = 0;
        for (int kind = 0; kind < a.numKinds; kind++)
            message += s.kindSums[kind * numHeads + f / (numFeatures / numHeads)] *
                       a.values[(long long)a.example[kind] * numFeatures + f];
        const long long number = (long long)i * numFeatures + f;
        a.features[number] = a.initialFeatures[number] + message;
    }
    if (lane < numEuclidean)
        a.evAttended[(long long)i * numEuclidean + lane] = evMessage;
}

// forces [N][3] and strain [N][6] += the receiver's share.
extern "C" __global__ void __launch_bounds__(32 * firstLayerWarps) so3kFirstLayerBackward(FirstLayerArguments<Real> a) {
    __shared__ FirstLayerBackwardShared ofWarp[firstLayerWarps];
    const int lane = threadIdx.x % 32, i = blockIdx.x * firstLayerWarps + threadIdx.x / 32;
    if (i >= a.atoms.numAtoms)
        return;
    FirstLayerBackwardShared &s = ofWarp[threadIdx.x / 32];
    const int count = a.edges.count[i];
    const Real *at = a.evGradient + (long long)i * numEuclidean;
    double force[3] = {0, 0, 0}, strain[6] = {0, 0, 0, 0, 0, 0};
    for (int first = 0; first < count; first += 32) {
        __syncwarp();
        int kind;
        const Real *piece = loadLaneEdge(a, i, first + lane, s.group, kind);
        __syncwarp();
        if (lane < numEuclidean)
            for (int e = 0; e < 32; e++)
                s.from[lane][e] = a.evGradient[(long long)s.group.sender[e] * numEuclidean + lane];
        __syncwarp();
        const int j = s.group.sender[lane];
        const Real t = s.group.position[lane], c = s.group.cutoff[lane], cSlope = s.group.cutoffSlope[lane];
        const Real byDistance = c * Real(inverseWidth(a.grid, s.group.interval[lane]));
        // alpha over c, and d(alpha)/dd
        auto coefficient = [&](int place, Real &slope) {
            const Real value = splineValue<true>(piece + place, a.tableRow, t, slope);
            slope = cSlope * value + byDistance * slope;
            return value;
        };
        const Real *own = a.products + ((long long)i * a.numKinds + kind) * numHeads;
        const Real *other = a.products + ((long long)j * a.numKinds + a.kind[i]) * numHeads;
        Real along = 0, slope;
#pragma unroll 4
        for (int h = 0; h < numHeads; h++) {
            coefficient(h, slope);
            along += own[h] * slope;
            coefficient(numHeads + h, slope);
            along += other[h] * slope;
        }
        Real alphaOwn[numDegrees], alphaOther[numDegrees]; // of ev; the other direction's with the parity of Y(-u)
        forEachDegree([&](auto block) {
            constexpr int d = decltype(block)::value;
            Real gradientOwn = 0, gradientOther = 0;
#pragma unroll
            for (int m = degreeStart(d); m < degreeStart(d + 1); m++) {
                gradientOwn += at[m] * s.group.harmonics[m][lane];
                gradientOther += s.from[m][lane] * s.group.harmonics[m][lane];
            }
            alphaOwn[d] = c * coefficient(2 * numHeads + d, slope);
            along += gradientOwn * slope;
            alphaOther[d] = c * coefficient(2 * numHeads + numDegrees + d, slope);
            along += gradientOther * slope;
        });
        Real g[3], r[3];
        edgeGradient(
            s.group, lane, along,
            [&](int m, auto block) {
                constexpr int d = decltype(block)::value;
                return alphaOwn[d] * at[m] + alphaOther[d] * s.from[m][lane];
            },
            g, r);
        if (a.strain)
            addGradientStrain(strain, g, r);
        for (int k = 0; k < 3; k++)
            force[k] += double(g[k]);
    }
    addForce(lane, force, a.forces + 3LL * i);
    if (a.strain)
        addStrainTotal(lane, strain, a.strain + 6LL * i);
}

} // namespace cuda
} // namespace so3krates
