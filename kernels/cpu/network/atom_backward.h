#pragma once
// The way back through the per-atom parts of a layer, and through the projections to q, k, v.

#include "cpu/network/atom_forward.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// g <- dE/d(input of the layer norm) from g = dE/d(output).
template <class T> void layerNormBackward(const Shape &s, const T *weight, const T *normalised, T inverseStd, T *g) {
    Vec<T> total = zero<T>(), along = zero<T>();
    for (int f = 0; f < s.features; f += lanes<T>) {
        Vec<T> scaled = load<T>(g + f) * load<T>(weight + f);
        store<T>(g + f, scaled);
        total += scaled;
        along += scaled * load<T>(normalised + f);
    }
    const T mean = sum<T>(total) / T(s.numFeatures), meanAlong = sum<T>(along) / T(s.numFeatures);
    for (int f = 0; f < s.numFeatures; f++)
        g[f] = inverseStd * (g[f] - mean - normalised[f] * meanAlong);
}

// gradient of x <- x + W1 act(W0 act(x)), in place on featureGradient.
template <class T>
void residualMlpBackward(const Evaluation<T> &e, const Dense<T> back[2], int begin, int n, const T *slope,
                         const T *hiddenSlope, AtomBlock<T> &b) {
    const int F = shapeOf(*e.model).features;
    T *g = e.featureGradient + long(begin) * F;
    const T *outer = hiddenSlope + long(begin) * F, *inner = slope + long(begin) * F;
    gemm<T>(n, g, F, back[1].weight, back[1].in, F, Start::Zero, nullptr, b.rowsA, F);
    for (int k = 0; k < n * F; k += lanes<T>)
        store<T>(b.rowsA + k, load<T>(b.rowsA + k) * load<T>(outer + k));
    gemm<T>(n, b.rowsA, F, back[0].weight, back[0].in, F, Start::Zero, nullptr, b.rowsB, F);
    for (int k = 0; k < n * F; k += lanes<T>)
        store<T>(g + k, load<T>(g + k) + load<T>(b.rowsB + k) * load<T>(inner + k));
}

template <class T> void exchangeBackward(const Evaluation<T> &e, int layer, int begin, int n, AtomBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    const LayerState<T> &state = e.layer[layer];
    const Dense<T> &dense = e.model->layers[layer].exchangeBack;
    const bool last = layer == s.numLayers - 1;
    for (int a = 0; a < n; a++) {
        const int i = begin + a;
        const T *g = e.featureGradient + long(i) * s.features, *evGradient = e.evGradient + long(i) * s.euclidean;
        const T *ev = state.evAttended + long(i) * s.euclidean;
        T *row = b.rowsA + a * s.exchange;
        for (int f = 0; f < s.numFeatures; f++)
            row[f] = g[f];
        for (int d = 0; d < s.numDegrees; d++) {
            T factor = 0;
            if (!last)
                for (int m = s.degreeStart[d]; m < s.degreeStart[d + 1]; m++)
                    factor += evGradient[m] * ev[m];
            row[s.numFeatures + d] = factor;
        }
    }
    gemm<T>(n, b.rowsA, s.exchange, dense.weight, dense.in, dense.out, Start::Zero, nullptr, b.rowsB, dense.out);
    for (int a = 0; a < n; a++) {
        const int i = begin + a;
        const T *back = b.rowsB + a * dense.out;
        T *g = e.featureGradient + long(i) * s.features, *evGradient = e.evGradient + long(i) * s.euclidean;
        const T *ev = state.evAttended + long(i) * s.euclidean;
        for (int f = 0; f < s.numFeatures; f++)
            g[f] += back[f];
        for (int d = 0; d < s.numDegrees; d++) {
            const T factor = 1 + state.exchange[long(i) * s.numDegrees + d];
            const T contraction = 2 * e.model->contractionNorm[d] * back[s.numFeatures + d];
            for (int m = s.degreeStart[d]; m < s.degreeStart[d + 1]; m++)
                evGradient[m] = (last ? T(0) : evGradient[m] * factor) + contraction * ev[m];
        }
    }
}

// From dE/d(features, ev at the layer's output) in featureGradient and evGradient to dE/d(messages): featureGradient
// (also the residual's), messageGradient, evGradient.
template <class T> void atomBackward(const Evaluation<T> &e, int layer, int begin, int n, AtomBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    const LayerWeights<T> &w = e.model->layers[layer];
    const LayerState<T> &state = e.layer[layer];
    if (w.norm2Weight)
        for (int i = begin; i < begin + n; i++)
            layerNormBackward<T>(s, w.norm2Weight, state.norm2 + long(i) * s.features, state.norm2InverseStd[i],
                                 e.featureGradient + long(i) * s.features);
    if (w.mlp2[0].weight)
        residualMlpBackward<T>(e, w.mlp2Back, begin, n, state.mlp2Slope, state.mlp2HiddenSlope, b);
    exchangeBackward<T>(e, layer, begin, n, b);
    if (w.mlp1[0].weight)
        residualMlpBackward<T>(e, w.mlp1Back, begin, n, state.mlp1Slope, state.mlp1HiddenSlope, b);
    for (int i = begin; i < begin + n; i++) {
        T *g = e.featureGradient + long(i) * s.features;
        if (w.norm1Weight)
            layerNormBackward<T>(s, w.norm1Weight, state.norm1 + long(i) * s.features, state.norm1InverseStd[i], g);
        toBlocks<T>(s.block[0], g, e.messageGradient + long(i) * s.block[0].total());
    }
}

// Adds what the pairs of `layer` collected: featureGradient += W^T dE/d(q, k, v), evGradient += dE/dev, so that both
// become dE/d(the layer's input).
template <class T> void collectGradients(const Evaluation<T> &e, int layer, int begin, int n, AtomBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    const LayerWeights<T> &w = e.model->layers[layer];
    const PairLists &pairs = e.pairs;
    const int row = s.gradientRow();
    for (int a = 0; a < n; a++) {
        const int i = begin + a;
        T *total = b.rowsA + long(a) * row;
        for (int k = 0; k < row; k++)
            total[k] = 0;
        for (int slot = pairs.slotStart[i]; slot < pairs.slotStart[i + 1]; slot++) {
            const T *part = e.slotGradients + long(pairs.slots[slot]) * row;
            for (int k = 0; k < row; k += lanes<T>)
                store<T>(total + k, load<T>(total + k) + load<T>(part + k));
        }
        if (e.model->qkActivation != Activation::Identity) {
            const T *slope = e.layer[layer].qkSlope + long(i) * s.attentionRow();
            for (int k = 0; k < s.valueX(); k += lanes<T>)
                store<T>(total + k, load<T>(total + k) * load<T>(slope + k));
        }
        T *ev = e.evGradient + long(i) * s.euclidean;
        for (int m = 0; m < s.numEuclidean; m++)
            ev[m] += total[s.attentionRow() + m];
    }
    const int start[5] = {s.queryX(), s.keyX(), s.queryEv(), s.keyEv(), s.valueX()};
    const int groups[2][3] = {{0, 1, 4}, {2, 3, -1}}; // the projections that read blocks of heads, of degrees
    for (int m = 0; m < 2; m++)
        for (int block = 0; block < s.block[m].count; block++) {
            const BlockLayout &layout = s.block[m];
            for (int g = 0; g < 3 && groups[m][g] >= 0; g++) {
                const int p = groups[m][g];
                gemm<T>(n, b.rowsA + start[p] + block * layout.stride, row,
                        w.projectBack[p] + long(block) * layout.width * layout.stride, layout.width, layout.stride,
                        g == 0 ? Start::Zero : Start::Accumulate, nullptr, b.rowsB, layout.stride);
            }
            for (int a = 0; a < n; a++) {
                T *x = e.featureGradient + long(begin + a) * s.features + block * layout.width;
                for (int c = 0; c < layout.width; c++)
                    x[c] += b.rowsB[a * layout.stride + c];
            }
        }
}

// The way back through initialEuclidean, for the pairs [begin, end).
template <class T> void initialEuclideanBackward(const Evaluation<T> &e, int begin, int end) {
    const Shape &s = shapeOf(*e.model);
    for (int pair = begin; pair < end; pair++) {
        const T *gI = e.evGradient + long(e.pairs.i[pair]) * s.euclidean;
        const T *gJ = e.evGradient + long(e.pairs.j[pair]) * s.euclidean;
        const T *y = e.harmonics + long(pair) * s.euclidean;
        T *yGradient = e.harmonicsGradient + long(pair) * s.euclidean;
        const T f = T(e.model->neighborhoodScale) * e.cutoff[2L * pair];
        const T slope = T(e.model->neighborhoodScale) * e.cutoff[2L * pair + 1];
        T along = 0;
        for (int d = 0; d < s.numDegrees; d++) {
            const T sign = s.degree[d] % 2 ? T(-1) : T(1);
            for (int m = s.degreeStart[d]; m < s.degreeStart[d + 1]; m++) {
                const T g = gI[m] + sign * gJ[m];
                yGradient[m] += f * g;
                along += g * y[m];
            }
        }
        e.distanceGradient[pair] += slope * along;
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
