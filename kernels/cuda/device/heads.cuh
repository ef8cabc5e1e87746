// Output heads on the final features: energy, partial charges before charge conservation, Hirshfeld ratios.
// One block of atomThreads threads per blockAtoms atoms.
#pragma once

#include "cuda/device/dense.cuh"

namespace so3krates {
namespace cuda {

// e = scale (w . act(W x + b) + b') + shift, and its gradient: both at once, nothing is kept. Rows block.x complete.
__device__ inline void energyHead(const AtomBlock &block, const HeadArguments<Real> &arguments) {
    const HeadWeights<Real> &w = arguments.weights;
    constexpr bool hidden = SO3K_ENERGY_HIDDEN > 0;
    constexpr int width = hidden ? SO3K_ENERGY_HIDDEN : numFeatures;
    auto scale = [&](int a) {
        return a < block.count ? w.energyScale[arguments.atomicNumbers[block.first + a]] : Real(0);
    };
    if (hidden) {
        dense(block.x, numFeatures, w.energyHidden, w.energyHiddenBias, width, 1, block.a);
        __syncthreads();
        forEachNumber(block, width, [&](long long, int a, int k, int place) {
            Real slope;
            block.a[place] = activate<SO3K_ENERGY_ACTIVATION>(block.a[place], slope);
            block.b[place] = scale(a) * w.energyOut[k] * slope;
        });
        __syncthreads();
    }
    for (int a = threadIdx.x / 32; a < block.count; a += blockDim.x / 32) {
        const Real raw = warpDot((hidden ? block.a : block.x) + a * rowWidth, w.energyOut, width) + w.energyOutBias;
        const int i = block.first + a;
        if (threadIdx.x % 32 == 0)
            arguments.networkEnergy[i] = double(scale(a) * raw) + w.energyShift[arguments.atomicNumbers[i]];
    }
    if (Real *seed = arguments.state.energySeed) {
        if (hidden) {
            __syncthreads();
            dense(block.b, width, w.energyHiddenBack, nullptr, numFeatures, 1, block.a);
            __syncthreads();
            storeRows(block, block.a, numFeatures, seed);
        } else
            for (int k = threadIdx.x; k < block.count * numFeatures; k += blockDim.x)
                seed[(long long)block.first * numFeatures + k] = scale(k / numFeatures) * w.energyOut[k % numFeatures];
    }
    __syncthreads();
}

// rows <- act(rows), first `width` columns, keeping the slopes [N][width] unless null.
__device__ inline void activateHead(const AtomBlock &block, Real *rows, int width, Real *slopes) {
    forEachNumber(block, width, [&](long long number, int, int, int place) {
        Real slope;
        rows[place] = activate<SO3K_ENERGY_ACTIVATION>(rows[place], slope);
        if (slopes && number >= 0)
            slopes[number] = slope;
    });
}

// p = w . act(W x + b) + b' + shift of the element.
__device__ inline void chargeHead(const AtomBlock &block, const HeadArguments<Real> &arguments) {
    const HeadWeights<Real> &w = arguments.weights;
    dense(block.x, numFeatures, w.chargeHidden, w.chargeHiddenBias, numFeatures, 1, block.a);
    __syncthreads();
    activateHead(block, block.a, numFeatures, arguments.state.chargeSlope);
    __syncthreads();
    for (int a = threadIdx.x / 32; a < block.count; a += blockDim.x / 32) {
        const Real raw = warpDot(block.a + a * rowWidth, w.chargeOut, numFeatures) + w.chargeOutBias;
        const int i = block.first + a;
        if (threadIdx.x % 32 == 0)
            arguments.rawCharge[i] = double(raw + w.chargeShift[arguments.atomicNumbers[i]]);
    }
    __syncthreads();
}

#if SO3K_HIRSHFELD_HIDDEN > 0
constexpr int hirshfeldHidden = SO3K_HIRSHFELD_HIDDEN;

// h = |shift + query . (W' act(W x + b) + b')| with shift and query of the element.
__device__ inline void hirshfeldHead(const AtomBlock &block, const HeadArguments<Real> &arguments) {
    const HeadWeights<Real> &w = arguments.weights;
    dense(block.x, numFeatures, w.hirshfeldHidden, w.hirshfeldHiddenBias, hirshfeldHidden, 1, block.a);
    __syncthreads();
    activateHead(block, block.a, hirshfeldHidden, arguments.state.hirshfeldSlope);
    __syncthreads();
    dense(block.a, hirshfeldHidden, w.hirshfeldOut, w.hirshfeldOutBias, hirshfeldHidden, 1, block.b);
    __syncthreads();
    for (int a = threadIdx.x / 32; a < block.count; a += blockDim.x / 32) {
        const int i = block.first + a, z = arguments.atomicNumbers[i];
        const Real h = w.hirshfeldShift[z] +
                       warpDot(block.b + a * rowWidth, w.hirshfeldQuery + z * hirshfeldHidden, hirshfeldHidden);
        if (threadIdx.x % 32 == 0) {
            arguments.hirshfeld[i] = h < 0 ? -h : h;
            if (arguments.state.hirshfeldSign)
                arguments.state.hirshfeldSign[i] = h < 0 ? Real(-1) : Real(1);
        }
    }
}

// block.x += dE/dx through the Hirshfeld ratios.
__device__ inline void hirshfeldBackward(const AtomBlock &block, const HeadArguments<Real> &arguments) {
    const HeadWeights<Real> &w = arguments.weights;
    for (int k = threadIdx.x; k < blockAtoms * hirshfeldHidden; k += blockDim.x) {
        const int a = k / hirshfeldHidden, c = k - a * hirshfeldHidden, i = block.first + a;
        Real g = 0;
        if (a < block.count)
            g = Real(arguments.hirshfeldGradient[i]) * arguments.state.hirshfeldSign[i] *
                w.hirshfeldQuery[arguments.atomicNumbers[i] * hirshfeldHidden + c];
        block.a[a * rowWidth + c] = g;
    }
    __syncthreads();
    dense(block.a, hirshfeldHidden, w.hirshfeldOutBack, nullptr, hirshfeldHidden, 1, block.b);
    __syncthreads();
    forEachNumber(block, hirshfeldHidden, [&](long long number, int, int, int place) {
        block.b[place] = number >= 0 ? block.b[place] * arguments.state.hirshfeldSlope[number] : Real(0);
    });
    __syncthreads();
    dense(block.b, hirshfeldHidden, w.hirshfeldHiddenBack, nullptr, numFeatures, 1, block.a);
    __syncthreads();
    addRows(block, block.a);
    __syncthreads();
}
#endif

// Final features [N][F] -> network energy, raw charge and Hirshfeld ratio per atom, and what the way back needs.
// Reads F numbers per atom, writes up to 2 F + Z; per block reads the heads' weights.
extern "C" __global__ void so3kHeadsForward(HeadArguments<Real> a) {
    SO3K_DYNAMIC_SHARED(Real, shared);
    const AtomBlock block = atomBlock(shared, a.numAtoms);
    loadRows(block, a.features, numFeatures, block.x);
    __syncthreads();
    energyHead(block, a);
#if SO3K_CHARGES
    chargeHead(block, a);
#endif
#if SO3K_HIRSHFELD_HIDDEN > 0
    hirshfeldHead(block, a);
#endif
}

// featureGradient [N][F] = dE/d(final features), evGradient [N][M] = 0. chargeGradient is dE/dq: charge conservation
// takes its molecule's mean away.
extern "C" __global__ void so3kHeadsBackward(HeadArguments<Real> a) {
    SO3K_DYNAMIC_SHARED(Real, shared);
    const AtomBlock block = atomBlock(shared, a.numAtoms);
    for (int k = threadIdx.x; k < block.count * numEuclidean; k += blockDim.x)
        a.evGradient[(long long)block.first * numEuclidean + k] = 0;
    loadRows(block, a.state.energySeed, numFeatures, block.x);
#if SO3K_CHARGES
    if (a.chargeGradient) {
        for (int atom = threadIdx.x; atom < block.count; atom += blockDim.x) {
            const int i = block.first + atom, m = a.molecule[i];
            const double mean = a.chargeGradientSums[m] / (a.offsets[m + 1] - a.offsets[m]);
            block.b[atom * rowWidth] = Real(a.chargeGradient[i] - mean);
        }
        __syncthreads();
        forEachNumber(block, numFeatures, [&](long long number, int atom, int f, int place) {
            block.a[place] =
                number < 0 ? Real(0) : block.b[atom * rowWidth] * a.weights.chargeOut[f] * a.state.chargeSlope[number];
        });
        __syncthreads();
        dense(block.a, numFeatures, a.weights.chargeHiddenBack, nullptr, numFeatures, 1, block.b);
        __syncthreads();
        addRows(block, block.b);
        __syncthreads();
    }
#endif
#if SO3K_HIRSHFELD_HIDDEN > 0
    if (a.hirshfeldGradient)
        hirshfeldBackward(block, a);
#endif
    __syncthreads();
    storeRows(block, block.x, numFeatures, a.featureGradient);
}

} // namespace cuda
} // namespace so3krates
