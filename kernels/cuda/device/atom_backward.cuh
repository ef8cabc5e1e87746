// The way back through the per-atom parts of a layer.
#pragma once

#include "cuda/device/atom_forward.cuh"

namespace so3krates {
namespace cuda {

// g <- g + slope W0^T (hiddenSlope W1^T g) for x <- x + W1 act(W0 act(x)). Rows complete before and after.
__device__ inline void residualMlpBackward(const AtomBlock &block, const Real *const back[2], const Real *slopes,
                                           const Real *hiddenSlopes) {
    dense(block.rows, block.x, numFeatures, back[1], nullptr, numFeatures, 1, block.a);
    __syncthreads();
    forEachNumber(block, numFeatures, [&](long long number, int, int, int place) {
        block.a[place] = number >= 0 ? block.a[place] * hiddenSlopes[number] : Real(0);
    });
    __syncthreads();
    dense(block.rows, block.a, numFeatures, back[0], nullptr, numFeatures, 1, block.b);
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
    for (int k = threadIdx.x; k < block.rows * numDegrees; k += blockDim.x) {
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
    dense(block.rows, block.x, width, arguments.weights.exchangeBack, nullptr, width, 1, block.a);
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

#if SO3K_FIRST_LAYER
// products: dE/d(message) . v for each head and kind of atoms. Rows block.x complete.
__device__ inline void firstLayerProducts(const AtomBlock &block, const FirstLayerProducts<Real> &f) {
    constexpr int width = numFeatures / numHeads;
    const int each = f.numKinds * numHeads;
    for (int k = threadIdx.x; k < block.count * each; k += blockDim.x) {
        const int a = k / each, kind = k % each / numHeads, h = k % numHeads;
        const Real *gradient = block.x + a * rowWidth + h * width;
        const Real *value = f.values + (long long)f.example[kind] * numFeatures + h * width;
        Real sum = 0;
#pragma unroll 16
        for (int c = 0; c < width; c++)
            sum += gradient[c] * value[c];
        f.products[(long long)block.first * each + k] = sum;
    }
}
#endif

// featureGradient [N][F] and evGradient [N][M]: from dE/d(the layer's output), of the heads or with the part through
// the next layer's q, k, v and filters added here, to dE/d(x and ev after the attention), which is also dE/d(the
// messages). In place. Block layout and weights as so3kAtomForward, transposed.
extern "C" __global__ void so3kAtomBackward(AtomArguments<Real> a) {
    SO3K_DYNAMIC_SHARED(Real, shared);
    const AtomBlock block = atomBlock(shared, a.numAtoms, a.atomsPerBlock);
    const LayerWeights<Real> &w = a.weights;
    if (a.last)
        headsBackward(block, a.heads);
    else
        projectBackward(block, a);
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
#if SO3K_FIRST_LAYER
    if (a.firstLayer.products)
        firstLayerProducts(block, a.firstLayer);
#endif
}

} // namespace cuda
} // namespace so3krates
