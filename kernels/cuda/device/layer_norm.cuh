// Layer norm of rows in shared memory and the way back. A warp per row; the variance is that of the centred row, so
// it does not cancel.
#pragma once

#include "cuda/device/atom_block.cuh"

namespace so3krates {
namespace cuda {

constexpr double layerNormEpsilon = 1e-6;

// x <- (x - mean)/std weight + bias on rows [rows][F]; keeps the normalised rows [N][F] and 1/std [N] unless
// these are null.
__device__ inline void layerNorm(const AtomBlock &block, Real *rows, const Real *weight, const Real *bias,
                                 Real *normalised, Real *inverseStd) {
    const int lane = threadIdx.x % 32;
    for (int a = threadIdx.x / 32; a < block.count; a += blockDim.x / 32) {
        Real *x = rows + a * rowWidth;
        Real sum = 0;
        for (int f = lane; f < numFeatures; f += 32)
            sum += x[f];
        const Real mean = warpSum(sum) / Real(numFeatures);
        sum = 0;
        for (int f = lane; f < numFeatures; f += 32)
            sum += (x[f] - mean) * (x[f] - mean);
        const Real variance = warpSum(sum) / Real(numFeatures);
        const Real inverse = Real(1) / squareRoot(variance + Real(layerNormEpsilon));
        for (int f = lane; f < numFeatures; f += 32) {
            const Real y = (x[f] - mean) * inverse;
            x[f] = y * weight[f] + bias[f];
            if (normalised)
                normalised[(long long)(block.first + a) * numFeatures + f] = y;
        }
        if (inverseStd && lane == 0)
            inverseStd[block.first + a] = inverse;
    }
}

// g <- dE/d(input) from g = dE/d(output), rows [rows][F].
__device__ inline void layerNormBackward(const AtomBlock &block, Real *rows, const Real *weight, const Real *normalised,
                                         const Real *inverseStd) {
    const int lane = threadIdx.x % 32;
    for (int a = threadIdx.x / 32; a < block.count; a += blockDim.x / 32) {
        Real *g = rows + a * rowWidth;
        const Real *y = normalised + (long long)(block.first + a) * numFeatures;
        Real sum = 0, along = 0;
        for (int f = lane; f < numFeatures; f += 32) {
            const Real scaled = g[f] * weight[f];
            sum += scaled;
            along += scaled * y[f];
        }
        const Real mean = warpSum(sum) / Real(numFeatures), meanAlong = warpSum(along) / Real(numFeatures);
        const Real inverse = inverseStd[block.first + a];
        for (int f = lane; f < numFeatures; f += 32)
            g[f] = inverse * (g[f] * weight[f] - mean - y[f] * meanAlong);
    }
}

} // namespace cuda
} // namespace so3krates
