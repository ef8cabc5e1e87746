// The way back through the per-atom parts of a layer.
#pragma once

#include "cuda/device/atom_forward.cuh"

namespace so3krates {
namespace cuda {

// g <- g + slope W0^T (hiddenSlope W1^T g) for x <- x + W1 act(W0 act(x)). Rows complete before and after.
__device__ inline void residualMlpBackward(const AtomBlock &block, const Real *const back[2], const Real *slopes,
                                           const Real *hiddenSlopes) {
    dense(block.x, numFeatures, back[1], nullptr, numFeatures, 1, block.a);
    __syncthreads();
    forEachNumber(block, numFeatures, [&](long long number, int, int, int place) {
        block.a[place] = number >= 0 ? block.a[place] * hiddenSlopes[number] : Real(0);
    });
    __syncthreads();
    dense(block.a, numFeatures, back[0], nullptr, numFeatures, 1, block.b);
    __syncthreads();
    forEachNumber(block, numFeatures, [&](long long number, int, int, int place) {
        if (number >= 0)
            block.x[place] += block.b[place] * slopes[number];
    });
    __syncthreads();
}

// Through exchange(): rows block.x and evGradient.
__device__ inline void exchangeBackward(const AtomBlock &block, const AtomArguments<Real> &arguments) {
    const LayerState<Real> &state = arguments.state;
    for (int k = threadIdx.x; k < blockAtoms * numDegrees; k += blockDim.x) {
        const int a = k / numDegrees, d = k - a * numDegrees;
        Real factor = 0;
        if (a < block.count && !arguments.last) {
            const long long row = (long long)(block.first + a) * numEuclidean;
            for (int m = degreeStart(d); m < degreeStart(d + 1); m++)
                factor += arguments.evGradient[row + m] * state.evAttended[row + m];
        }
        block.x[a * rowWidth + numFeatures + d] = factor;
    }
    __syncthreads();
    constexpr int width = numFeatures + numDegrees;
    dense(block.x, width, arguments.weights.exchangeBack, nullptr, width, 1, block.a);
    __syncthreads();
    addRows(block, block.a);
    for (int k = threadIdx.x; k < block.count * numEuclidean; k += blockDim.x) {
        const int a = k / numEuclidean, d = degreeIndex(k - a * numEuclidean);
        const long long place = (long long)block.first * numEuclidean + k;
        const Real factor = 1 + state.exchange[(long long)(block.first + a) * numDegrees + d];
        const Real contraction = 2 * contractionNorm(d) * block.a[a * rowWidth + numFeatures + d];
        const Real g = arguments.last ? Real(0) : arguments.evGradient[place] * factor;
        arguments.evGradient[place] = g + contraction * state.evAttended[place];
    }
    __syncthreads();
}

// In place: featureGradient [N][F] and evGradient [N][M] from dE/d(the layer's output) to dE/d(x and ev after the
// attention), which is also dE/d(the messages). Block layout and weights as so3kAtomForward, transposed.
extern "C" __global__ void so3kAtomBackward(AtomArguments<Real> a) {
    SO3K_DYNAMIC_SHARED(Real, shared);
    const AtomBlock block = atomBlock(shared, a.numAtoms);
    const LayerWeights<Real> &w = a.weights;
    loadRows(block, a.featureGradient, numFeatures, block.x);
    __syncthreads();
    if (w.norm2Weight) {
        layerNormBackward(block, block.x, w.norm2Weight, a.state.norm2, a.state.norm2InverseStd);
        __syncthreads();
    }
    if (w.mlp2[0])
        residualMlpBackward(block, w.mlp2Back, a.state.mlp2Slope, a.state.mlp2HiddenSlope);
    exchangeBackward(block, a);
    if (w.mlp1[0])
        residualMlpBackward(block, w.mlp1Back, a.state.mlp1Slope, a.state.mlp1HiddenSlope);
    if (w.norm1Weight) {
        layerNormBackward(block, block.x, w.norm1Weight, a.state.norm1, a.state.norm1InverseStd);
        __syncthreads();
    }
    storeRows(block, block.x, numFeatures, a.featureGradient);
}

} // namespace cuda
} // namespace so3krates
