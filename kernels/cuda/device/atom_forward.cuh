// The per-atom parts of a layer after its messages: layer norms, residual MLPs, exchange block, q, k, v of the next.
#pragma once

#include "cuda/device/heads.cuh"
#include "cuda/device/layer_norm.cuh"
#include "cuda/device/project.cuh"

namespace so3krates {
namespace cuda {

// rows <- act(rows), keeping the slopes [N][F] unless null.
__device__ inline void activateRows(const AtomBlock &block, const Real *from, Real *to, Real *slopes) {
    forEachNumber(block, numFeatures, [&](long long number, int, int, int place) {
        Real slope;
        to[place] = activate<SO3K_ACTIVATION>(from[place], slope);
        if (slopes && number >= 0)
            slopes[number] = slope;
    });
}

// x <- x + W1 act(W0 act(x)), keeping both slopes [N][F] unless null. Rows complete before and after.
__device__ inline void residualMlp(const AtomBlock &block, const Real *const weight[2], const Real *const bias[2],
                                   Real *slopes, Real *hiddenSlopes) {
    activateRows(block, block.x, block.a, slopes);
    __syncthreads();
    dense(block.rows, block.a, numFeatures, weight[0], bias[0], numFeatures, 1, block.b);
    __syncthreads();
    activateRows(block, block.b, block.b, hiddenSlopes);
    __syncthreads();
    dense(block.rows, block.b, numFeatures, weight[1], bias[1], numFeatures, 1, block.a);
    __syncthreads();
    addRows(block, block.a);
    __syncthreads();
}

// C(ev)_l = sum_m ev_lm^2 times this.
__device__ inline Real contractionNorm(int block) { return 1 / squareRoot(Real(2 * degreeOf(block) + 1)); }

// x <- x + y[:F], ev <- ev + y[F + degree] ev, with y = W [x, C(ev)] + b. The last layer's ev is not wanted.
__device__ inline void exchange(const AtomBlock &block, const AtomArguments<Real> &arguments) {
    const LayerState<Real> &state = arguments.state;
    for (int k = threadIdx.x; k < block.rows * numDegrees; k += blockDim.x) {
        const int a = k / numDegrees, d = k - a * numDegrees;
        Real square = 0;
        if (a < block.count) {
            const Real *ev = state.evAttended + (long long)(block.first + a) * numEuclidean;
            for (int m = degreeStart(d); m < degreeStart(d + 1); m++)
                square += ev[m] * ev[m];
        }
        block.x[a * rowWidth + numFeatures + d] = square * contractionNorm(d);
    }
    __syncthreads();
    constexpr int width = numFeatures + numDegrees;
    dense(block.rows, block.x, width, arguments.weights.exchange, arguments.weights.exchangeBias, width, 1, block.a);
    __syncthreads();
    addRows(block, block.a);
    for (int k = threadIdx.x; k < block.count * numDegrees; k += blockDim.x) {
        const int a = k / numDegrees, d = k - a * numDegrees;
        state.exchange[(long long)block.first * numDegrees + k] = block.a[a * rowWidth + numFeatures + d];
    }
    if (!arguments.last)
        for (int k = threadIdx.x; k < block.count * numEuclidean; k += blockDim.x) {
            const int a = k / numEuclidean, m = k - a * numEuclidean;
            const long long place = (long long)block.first * numEuclidean + k;
            const Real ev = state.evAttended[place];
            arguments.next.evIn[place] = ev + block.a[a * rowWidth + numFeatures + degreeIndex(m)] * ev;
        }
    __syncthreads();
}

// Features [N][F] with the layer's messages, evAttended [N][M] -> the layer's output, the next layer's evIn and q, k,
// v, or the heads' results. A block per AtomArguments::atomsPerBlock atoms; per atom about 2 F + 2 M numbers read and
// 6 F + M written, 6 F more for the way back; per block all per-atom weights of the layer (2 or 4 F^2 + (F+D)^2 +
// projections or heads).
extern "C" __global__ void so3kAtomForward(AtomArguments<Real> a) {
    SO3K_DYNAMIC_SHARED(Real, shared);
    const AtomBlock block = atomBlock(shared, a.numAtoms, a.atomsPerBlock);
    const LayerWeights<Real> &w = a.weights;
    loadRows(block, a.features, numFeatures, block.x);
    __syncthreads();
    if (w.norm1Weight) {
        layerNorm(block, block.x, w.norm1Weight, w.norm1Bias, a.state.norm1, a.state.norm1InverseStd);
        __syncthreads();
    }
    if (w.mlp1[0])
        residualMlp(block, w.mlp1, w.mlp1Bias, a.state.mlp1Slope, a.state.mlp1HiddenSlope);
    exchange(block, a);
    if (w.mlp2[0])
        residualMlp(block, w.mlp2, w.mlp2Bias, a.state.mlp2Slope, a.state.mlp2HiddenSlope);
    if (w.norm2Weight) {
        layerNorm(block, block.x, w.norm2Weight, w.norm2Bias, a.state.norm2, a.state.norm2InverseStd);
        __syncthreads();
    }
    if (a.last) {
        headsForward(block, a.heads);
    } else {
        storeRows(block, block.x, numFeatures, a.features);
        project(block, a.nextWeights, a.next);
    }
}

} // namespace cuda
} // namespace so3krates
