// Output heads on the final features: energy, partial charges before charge conservation, Hirshfeld ratios.
// Parts of so3kAtomForward and so3kAtomBackward of the last layer.
#pragma once

#include "cuda/device/dense.cuh"
#include "cuda/device/molecule_total.cuh"

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
        dense(block.rows, block.x, numFeatures, w.energyHidden, w.energyHiddenBias, width, 1, block.a);
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
            dense(block.rows, block.b, width, w.energyHiddenBack, nullptr, numFeatures, 1, block.a);
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
    dense(block.rows, block.x, numFeatures, w.chargeHidden, w.chargeHiddenBias, numFeatures, 1, block.a);
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
    dense(block.rows, block.x, numFeatures, w.hirshfeldHidden, w.hirshfeldHiddenBias, hirshfeldHidden, 1, block.a);
    __syncthreads();
    activateHead(block, block.a, hirshfeldHidden, arguments.state.hirshfeldSlope);
    __syncthreads();
    dense(block.rows, block.a, hirshfeldHidden, w.hirshfeldOut, w.hirshfeldOutBias, hirshfeldHidden, 1, block.b);
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
    for (int k = threadIdx.x; k < block.rows * hirshfeldHidden; k += blockDim.x) {
        const int a = k / hirshfeldHidden, c = k - a * hirshfeldHidden, i = block.first + a;
        Real g = 0;
        if (a < block.count)
            g = Real(arguments.hirshfeldGradient[i]) * arguments.state.hirshfeldSign[i] *
                w.hirshfeldQuery[arguments.atomicNumbers[i] * hirshfeldHidden + c];
        block.a[a * rowWidth + c] = g;
    }
    __syncthreads();
    dense(block.rows, block.a, hirshfeldHidden, w.hirshfeldOutBack, nullptr, hirshfeldHidden, 1, block.b);
    __syncthreads();
    forEachNumber(block, hirshfeldHidden, [&](long long number, int, int, int place) {
        block.b[place] = number >= 0 ? block.b[place] * arguments.state.hirshfeldSlope[number] : Real(0);
    });
    __syncthreads();
    dense(block.rows, block.b, hirshfeldHidden, w.hirshfeldHiddenBack, nullptr, numFeatures, 1, block.a);
    __syncthreads();
    addRows(block, block.a);
    __syncthreads();
}
#endif

// Final features, rows block.x -> network energy, raw charge and Hirshfeld ratio per atom, and what the way back needs,
// up to 2 F + Z numbers.
__device__ inline void headsForward(const AtomBlock &block, const HeadArguments<Real> &a) {
    energyHead(block, a);
#if SO3K_CHARGES
    chargeHead(block, a);
#endif
#if SO3K_HIRSHFELD_HIDDEN > 0
    hirshfeldHead(block, a);
#endif
}

#if SO3K_CHARGES
// block.x += dE/dx through the charges. Charge conservation takes its molecule's mean away from dE/dq.
__device__ inline void chargeBackward(const AtomBlock &block, const HeadArguments<Real> &a) {
    const int lastMolecule = a.molecule[block.first + block.count - 1];
    for (int m = a.molecule[block.first]; m <= lastMolecule; m++) {
        const double mean = moleculeTotal(a.chargeGradient, m) / moleculeSize(a.chargeGradient, m);
        for (int atom = threadIdx.x; atom < block.count; atom += blockDim.x)
            if (a.molecule[block.first + atom] == m)
                block.b[atom * rowWidth] = Real(a.chargeGradient.values[block.first + atom] - mean);
    }
    __syncthreads();
    forEachNumber(block, numFeatures, [&](long long number, int atom, int f, int place) {
        block.a[place] =
            number < 0 ? Real(0) : block.b[atom * rowWidth] * a.weights.chargeOut[f] * a.state.chargeSlope[number];
    });
    __syncthreads();
    dense(block.rows, block.a, numFeatures, a.weights.chargeHiddenBack, nullptr, numFeatures, 1, block.b);
    __syncthreads();
    addRows(block, block.b);
    __syncthreads();
}
#endif

// Rows block.x = dE/d(final features), complete afterwards.
__device__ inline void headsBackward(const AtomBlock &block, const HeadArguments<Real> &a) {
    loadRows(block, a.state.energySeed, numFeatures, block.x);
#if SO3K_CHARGES
    if (a.chargeGradient.values)
        chargeBackward(block, a);
#endif
#if SO3K_HIRSHFELD_HIDDEN > 0
    if (a.hirshfeldGradient)
        hirshfeldBackward(block, a);
#endif
    __syncthreads();
}

} // namespace cuda
} // namespace so3krates
