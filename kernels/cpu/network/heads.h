#pragma once
// Output heads on the final features: energy, partial charges (before charge conservation), Hirshfeld ratios.

#include "cpu/network/atom_forward.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

template <class T> SO3K_INLINE T dotRow(const T *a, const T *b, int n) {
    Vec<T> total = zero<T>();
    for (int k = 0; k < n; k += lanes<T>)
        total += load<T>(a + k) * load<T>(b + k);
    return sum<T>(total);
}

template <class T> void headsForward(const Evaluation<T> &e, int begin, int n, AtomBlock<T> &b) {
    const PackedModel<T> &model = *e.model;
    const Shape &s = shapeOf(model);
    const int F = s.features;
    const T *x = e.features + long(begin) * F;

    // Energy, and at once its gradient: e_i = scale (w . act(W x + b) + b') + shift
    const int hidden = s.energyHidden ? s.energyHiddenPadded : F;
    const T *rows = x;
    if (s.energyHidden) {
        const Dense<T> &dense = model.energyHidden;
        gemm<T>(n, x, F, dense.weight, dense.in, dense.out, Start::Bias, dense.bias, b.rowsA, hidden);
        activateRow<T>(model.energyActivation, b.rowsA, n * hidden, b.rowsA, b.rowsB);
        rows = b.rowsA;
    }
    for (int a = 0; a < n; a++) {
        const int z = e.atomicNumbers[begin + a];
        const T raw = dotRow<T>(rows + a * hidden, model.energyOut, hidden) + model.energyOutBias;
        e.networkEnergy[begin + a] = double(model.energyScale[z] * raw) + model.energyShift[z];
        T *slope = s.energyHidden ? b.rowsB + a * hidden : e.energySeed + long(begin + a) * F;
        for (int k = 0; k < hidden; k += lanes<T>) {
            Vec<T> g = model.energyScale[z] * load<T>(model.energyOut + k);
            store<T>(slope + k, s.energyHidden ? g * load<T>(slope + k) : g);
        }
    }
    if (s.energyHidden && e.withGradient)
        gemm<T>(n, b.rowsB, hidden, model.energyHiddenBack.weight, model.energyHiddenBack.in, F, Start::Zero, nullptr,
                e.energySeed + long(begin) * F, F);

    if (model.hasCharges) {
        T *slope = e.chargeSlope + long(begin) * F;
        gemm<T>(n, x, F, model.chargeHidden.weight, model.chargeHidden.in, F, Start::Bias, model.chargeHidden.bias,
                b.rowsA, F);
        activateRow<T>(model.energyActivation, b.rowsA, n * F, b.rowsA, slope);
        for (int a = 0; a < n; a++)
            e.rawCharge[begin + a] = dotRow<T>(b.rowsA + a * F, model.chargeOut, F) + model.chargeOutBias +
                                     model.chargeShift[e.atomicNumbers[begin + a]];
    }
    if (model.hasHirshfeld) {
        const int width = s.hirshfeldPadded;
        const Dense<T> &first = model.hirshfeldHidden, &second = model.hirshfeldOut;
        gemm<T>(n, x, F, first.weight, first.in, width, Start::Bias, first.bias, b.rowsA, width);
        activateRow<T>(model.energyActivation, b.rowsA, n * width, b.rowsA, e.hirshfeldSlope + long(begin) * width);
        gemm<T>(n, b.rowsA, width, second.weight, second.in, width, Start::Bias, second.bias, b.rowsB, width);
        for (int a = 0; a < n; a++) {
            const int z = e.atomicNumbers[begin + a];
            const T h =
                model.hirshfeldShift[z] + dotRow<T>(b.rowsB + a * width, model.hirshfeldQuery + long(z) * width, width);
            e.hirshfeldSign[begin + a] = h < 0 ? T(-1) : T(1);
            e.hirshfeld[begin + a] = h < 0 ? -h : h;
        }
    }
}

// featureGradient = dE/d(final features), evGradient = 0.
template <class T> void headsBackward(const Evaluation<T> &e, int begin, int n, AtomBlock<T> &b) {
    const PackedModel<T> &model = *e.model;
    const Shape &s = shapeOf(model);
    const int F = s.features;
    T *g = e.featureGradient + long(begin) * F;
    for (long k = 0; k < long(n) * F; k++)
        g[k] = e.energySeed[long(begin) * F + k];
    for (long k = 0; k < long(n) * s.euclidean; k++)
        e.evGradient[long(begin) * s.euclidean + k] = 0;
    if (model.hasCharges && e.chargeGradient) {
        for (int a = 0; a < n; a++) {
            const T seed = T(e.chargeGradient[begin + a]);
            const T *slope = e.chargeSlope + long(begin + a) * F;
            for (int k = 0; k < F; k += lanes<T>)
                store<T>(b.rowsA + a * F + k, seed * load<T>(model.chargeOut + k) * load<T>(slope + k));
        }
        gemm<T>(n, b.rowsA, F, model.chargeHiddenBack.weight, model.chargeHiddenBack.in, F, Start::Accumulate, nullptr,
                g, F);
    }
    if (model.hasHirshfeld && e.hirshfeldGradient) {
        const int width = s.hirshfeldPadded;
        for (int a = 0; a < n; a++) {
            const int z = e.atomicNumbers[begin + a];
            const T seed = T(e.hirshfeldGradient[begin + a]) * e.hirshfeldSign[begin + a];
            for (int k = 0; k < width; k += lanes<T>)
                store<T>(b.rowsA + a * width + k, seed * load<T>(model.hirshfeldQuery + long(z) * width + k));
        }
        gemm<T>(n, b.rowsA, width, model.hirshfeldOutBack.weight, model.hirshfeldOutBack.in, width, Start::Zero,
                nullptr, b.rowsB, width);
        const T *slope = e.hirshfeldSlope + long(begin) * width;
        for (int k = 0; k < n * width; k += lanes<T>)
            store<T>(b.rowsB + k, load<T>(b.rowsB + k) * load<T>(slope + k));
        gemm<T>(n, b.rowsB, width, model.hirshfeldHiddenBack.weight, model.hirshfeldHiddenBack.in, F, Start::Accumulate,
                nullptr, g, F);
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
