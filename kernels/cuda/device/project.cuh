// q, k, v from the features and back.
#pragma once

#include "cuda/device/dense.cuh"

namespace so3krates {
namespace cuda {

// Writes q, k, v of `state` from the rows block.x (complete), with the slopes of the activation of q and k where the
// state wants them. Order of the matrices as in LayerWeights::project.
__device__ inline void project(const AtomBlock &block, const LayerWeights<Real> &weights,
                               const LayerState<Real> &state) {
    Real *const values[5] = {state.queryX, state.keyX, state.queryEv, state.keyEv, state.valueX};
    Real *const slopes[5] = {state.queryXSlope, state.keyXSlope, state.queryEvSlope, state.keyEvSlope, nullptr};
#pragma unroll 1 // fewer registers
    for (int p = 0; p < 5; p++) {
        const int blocks = p == 2 || p == 3 ? numDegrees : numHeads, width = numFeatures / blocks;
        Real *const rows = p % 2 == 0 ? block.a : block.b; // in turn: one barrier each is enough
        dense(block.rows, block.x, width, weights.project[p], nullptr, width, blocks, rows);
        __syncthreads();
        forEachNumber(block, numFeatures, [&](long long number, int, int, int place) {
            if (number < 0)
                return;
            Real value = rows[place], slope = 1;
            if (p != 4)
                value = activate<SO3K_QK_ACTIVATION>(value, slope);
            values[p][number] = value;
            if (slopes[p])
                slopes[p][number] = slope;
        });
    }
}

// features, evIn [N][F], [N][M]: x0 and zeros. Threads stride over numbers; any launch size will do.
extern "C" __global__ void so3kStart(StartArguments<Real> a) {
    const long long threads = (long long)gridDim.x * blockDim.x, first = (long long)blockIdx.x * blockDim.x;
    for (long long k = first + threadIdx.x; k < (long long)a.numAtoms * numFeatures; k += threads)
        a.features[k] = a.initialFeatures[k];
    for (long long k = first + threadIdx.x; k < (long long)a.numAtoms * numEuclidean; k += threads)
        a.evIn[k] = 0;
}

// q, k, v [N][F] of a layer from its input features. Reads F and writes 5 F (9 F with slopes) numbers per atom, and
// reads 3 F^2/H + 2 F^2/D weights per block.
extern "C" __global__ void so3kProject(ProjectArguments<Real> a) {
    SO3K_DYNAMIC_SHARED(Real, shared);
    const AtomBlock block = atomBlock(shared, a.numAtoms, a.atomsPerBlock);
    loadRows(block, a.features, numFeatures, block.x);
    __syncthreads();
    project(block, a.weights, a.state);
}

// The transpose: rows block.x = featureGradient + W^T (gradient times slope) for q_x, k_x, q_ev, k_ev, v_x of the next
// layer, complete afterwards; evGradient += evInGradient. Reads 6 F (10 F with slopes) numbers per atom.
__device__ inline void projectBackward(const AtomBlock &block, const AtomArguments<Real> &a) {
    for (int k = threadIdx.x; k < block.count * numEuclidean; k += blockDim.x) {
        const long long m = (long long)block.first * numEuclidean + k;
        a.evGradient[m] += a.evInGradient[m];
    }
    const Real *const gradients[5] = {a.queryXGradient, a.keyXGradient, a.queryEvGradient, a.keyEvGradient,
                                      a.valueXGradient};
    const Real *const slopes[5] = {a.next.queryXSlope, a.next.keyXSlope, a.next.queryEvSlope, a.next.keyEvSlope,
                                   nullptr};
    loadRows(block, a.featureGradient, numFeatures, block.x);
#pragma unroll 1 // fewer registers
    for (int p = 0; p < 5; p++) {
        const int blocks = p == 2 || p == 3 ? numDegrees : numHeads, width = numFeatures / blocks;
        forEachNumber(block, numFeatures, [&](long long number, int, int, int place) {
            Real g = 0;
            if (number >= 0)
                g = slopes[p] ? gradients[p][number] * slopes[p][number] : gradients[p][number];
            block.a[place] = g;
        });
        __syncthreads();
        dense(block.rows, block.a, width, a.nextWeights.projectBack[p], nullptr, width, blocks, block.b);
        __syncthreads();
        addRows(block, block.b);
    }
    __syncthreads();
}

// The first layer's evGradient where its ev depends on the positions. A thread per number.
extern "C" __global__ void so3kAddEuclidean(AddArguments<Real> a) {
    const long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (k < a.numbers)
        a.rows[k] += a.others[k];
}

} // namespace cuda
} // namespace so3krates
