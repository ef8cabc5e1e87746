#pragma once
// The per-atom parts of a layer: collect messages, layer norms, residual MLPs, exchange block, next q, k, v.

#include "cpu/network/degrees.h"
#include "cpu/simd/activation.h"
#include "cpu/simd/gemm.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// Work space of a block of atoms.
template <class T> struct AtomBlock {
    T *rowsA, *rowsB; // [block][width]
    int width;
};

// Copies between rows of F features and rows cut in blocks with padding.
template <class T> void toBlocks(const BlockLayout &layout, const T *row, T *blocks) {
    for (int b = 0; b < layout.count; b++) {
        for (int c = 0; c < layout.width; c++)
            blocks[b * layout.stride + c] = row[b * layout.width + c];
        for (int c = layout.width; c < layout.stride; c++)
            blocks[b * layout.stride + c] = 0;
    }
}

// q, k, v of `layer` from the features of atoms [begin, begin + n).
template <class T> void project(const Evaluation<T> &e, int layer, int begin, int n) {
    const Shape &s = shapeOf(*e.model);
    const LayerWeights<T> &w = e.model->layers[layer];
    const int start[5] = {s.queryX(), s.keyX(), s.queryEv(), s.keyEv(), s.valueX()}, row = s.attentionRow();
    T *out = e.layer[layer].attention + long(begin) * row;
    const T *x = e.features + long(begin) * s.features;
    for (int p = 0; p < 5; p++) {
        const BlockLayout &b = s.block[p == 2 || p == 3];
        for (int block = 0; block < b.count; block++)
            gemm<T>(n, x + block * b.width, s.features, w.project[p] + long(block) * b.width * b.stride, b.width,
                    b.stride, Start::Zero, nullptr, out + start[p] + block * b.stride, row);
    }
    if (e.model->qkActivation != Activation::Identity) // activations map the padding's 0 to something: put 0 back
        for (int a = 0; a < n; a++) {
            T *values = out + long(a) * row, *slopes = e.layer[layer].qkSlope + long(begin + a) * row;
            activateRow<T>(e.model->qkActivation, values, s.valueX(), values, slopes);
            for (int p = 0; p < 4; p++) {
                const BlockLayout &b = s.block[p >= 2];
                for (int block = 0; block < b.count; block++)
                    for (int c = b.width; c < b.stride; c++)
                        values[start[p] + block * b.stride + c] = 0;
            }
        }
}

// ev at the first layer's input from the neighborhood (Eq. 11 of the paper): 1/<N> sum_j f_c Y.
template <class T> void initialEuclidean(const Evaluation<T> &e, int begin, int end) {
    const Shape &s = shapeOf(*e.model);
    const PairLists &pairs = e.pairs;
    for (int i = begin; i < end; i++) {
        T *ev = e.layer[0].evIn + long(i) * s.euclidean;
        for (int m = 0; m < s.euclidean; m++)
            ev[m] = 0;
        for (int k = pairs.adjacencyStart[i]; k < pairs.adjacencyStart[i + 1]; k++) {
            const int pair = pairs.adjacency[k] >> 1, direction = pairs.adjacency[k] & 1;
            const T *y = e.harmonics + long(pair) * s.euclidean;
            for (int d = 0; d < s.numDegrees; d++) {
                T f =
                    T(e.model->neighborhoodScale) * e.cutoff[2L * pair] * (direction && s.degree[d] % 2 ? T(-1) : T(1));
                for (int m = s.degreeStart[d]; m < s.degreeStart[d + 1]; m++)
                    ev[m] += f * y[m];
            }
        }
    }
}

// x += sum_j alpha v_j; evAttended = evIn + sum_j alpha Y. message: [n][block[0].total] work space.
template <class T> void collectMessages(const Evaluation<T> &e, int layer, int begin, int n, T *message) {
    const Shape &s = shapeOf(*e.model);
    const PairLists &pairs = e.pairs;
    const LayerState<T> &state = e.layer[layer];
    const BlockLayout &heads = s.block[0];
    const int total = heads.total(), row = s.attentionRow();
    constexpr int atOnce = 8; // vectors of sums held in registers
    for (int a = 0; a < n; a++) {
        const int i = begin + a, first = pairs.adjacencyStart[i], end = pairs.adjacencyStart[i + 1];
        T *sum = message + long(a) * total;
        for (int start = 0; start < total; start += atOnce * lanes<T>) {
            const int vectors = (total - start) / lanes<T> < atOnce ? (total - start) / lanes<T> : atOnce;
            Vec<T> sums[atOnce] = {};
            for (int k = first; k < end; k++) {
                const int pair = pairs.adjacency[k] >> 1, direction = pairs.adjacency[k] & 1;
                const int other = direction ? pairs.i[pair] : pairs.j[pair];
                const T *alpha = state.alpha + long(pair) * s.alphaRow() + s.alpha(0, direction);
                const T *value = state.attention + long(other) * row + s.valueX() + start;
                const int laterEntry = pairs.adjacency[k + 2 < end ? k + 2 : k], later = laterEntry >> 1;
                const T *laterValue =
                    state.attention + long(laterEntry & 1 ? pairs.i[later] : pairs.j[later]) * row + s.valueX() + start;
                __builtin_prefetch(state.alpha + long(later) * s.alphaRow());
                __builtin_prefetch(e.harmonics + long(later) * s.euclidean);
#pragma GCC unroll 8
                for (int v = 0; v < atOnce; v++)
                    __builtin_prefetch(laterValue + v * lanes<T>);
#pragma GCC unroll 8
                for (int v = 0; v < atOnce; v++)
                    if (v < vectors)
                        sums[v] += alpha[(start + v * lanes<T>) / heads.stride] * load<T>(value + v * lanes<T>);
            }
#pragma GCC unroll 8
            for (int v = 0; v < atOnce; v++)
                if (v < vectors)
                    store<T>(sum + start + v * lanes<T>, sums[v]);
        }
        constexpr int evVectors = (maxEuclidean + lanes<T> - 1) / lanes<T>;
        Vec<T> ev[evVectors];
        const int filled = s.euclidean / lanes<T>;
        for (int v = 0; v < filled; v++)
            ev[v] = load<T>(state.evIn + long(i) * s.euclidean + v * lanes<T>);
        for (int k = first; k < end; k++) {
            const int pair = pairs.adjacency[k] >> 1, direction = pairs.adjacency[k] & 1;
            const T *alpha = state.alpha + long(pair) * s.alphaRow() + s.alpha(1, direction);
            const T *y = e.harmonics + long(pair) * s.euclidean;
            for (int v = 0; v < filled; v++)
                ev[v] += spreadDegrees<T>(*e.model, v, alpha) * load<T>(y + v * lanes<T>);
        }
        T *x = e.features + long(i) * s.features;
        for (int h = 0; h < heads.count; h++)
            for (int c = 0; c < heads.width; c++)
                x[h * heads.width + c] += sum[h * heads.stride + c];
        for (int v = 0; v < filled; v++)
            store<T>(state.evAttended + long(i) * s.euclidean + v * lanes<T>, ev[v]);
    }
}

constexpr double layerNormEpsilon = 1e-6;

// x <- LN(x), keeping the normalised row and 1/std. Two passes: the variance does not cancel.
template <class T> void layerNorm(const Shape &s, const T *weight, const T *bias, T *x, T *normalised, T *inverseStd) {
    Vec<T> total = zero<T>();
    for (int f = 0; f < s.features; f += lanes<T>)
        total += load<T>(x + f);
    const T mean = sum<T>(total) / T(s.numFeatures);
    T variance = 0;
    for (int f = 0; f < s.numFeatures; f++)
        normalised[f] = x[f] - mean;
    total = zero<T>();
    for (int f = 0; f < s.features; f += lanes<T>)
        total += load<T>(normalised + f) * load<T>(normalised + f);
    variance = sum<T>(total) / T(s.numFeatures);
    const T inverse = T(1 / __builtin_sqrt(double(variance) + layerNormEpsilon));
    for (int f = 0; f < s.features; f += lanes<T>) {
        Vec<T> y = load<T>(normalised + f) * inverse;
        store<T>(normalised + f, y);
        store<T>(x + f, y * load<T>(weight + f) + load<T>(bias + f));
    }
    *inverseStd = inverse;
}

// x <- x + W1 act(W0 act(x)), keeping both slopes.
template <class T>
void residualMlp(const Evaluation<T> &e, const Dense<T> dense[2], int begin, int n, T *slope, T *hiddenSlope,
                 AtomBlock<T> &b) {
    const int F = shapeOf(*e.model).features;
    T *x = e.features + long(begin) * F;
    activateRow<T>(e.model->activation, x, n * F, b.rowsA, slope + long(begin) * F);
    gemm<T>(n, b.rowsA, F, dense[0].weight, dense[0].in, F, Start::Bias, dense[0].bias, b.rowsB, F);
    activateRow<T>(e.model->activation, b.rowsB, n * F, b.rowsA, hiddenSlope + long(begin) * F);
    gemm<T>(n, b.rowsA, F, dense[1].weight, dense[1].in, F, Start::Bias, dense[1].bias, b.rowsB, F);
    for (int k = 0; k < n * F; k += lanes<T>)
        store<T>(x + k, load<T>(x + k) + load<T>(b.rowsB + k));
}

template <class T> void exchangeForward(const Evaluation<T> &e, int layer, int begin, int n, AtomBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    const LayerState<T> &state = e.layer[layer];
    const Dense<T> &dense = e.model->layers[layer].exchange;
    const bool last = layer == s.numLayers - 1;
    for (int a = 0; a < n; a++) {
        const T *x = e.features + long(begin + a) * s.features;
        const T *ev = state.evAttended + long(begin + a) * s.euclidean;
        T *row = b.rowsA + a * s.exchange;
        for (int f = 0; f < s.numFeatures; f++)
            row[f] = x[f];
        for (int d = 0; d < s.numDegrees; d++) {
            T square = 0;
            for (int m = s.degreeStart[d]; m < s.degreeStart[d + 1]; m++)
                square += ev[m] * ev[m];
            row[s.numFeatures + d] = square * e.model->contractionNorm[d];
        }
    }
    gemm<T>(n, b.rowsA, s.exchange, dense.weight, dense.in, dense.out, Start::Bias, dense.bias, b.rowsB, dense.out);
    for (int a = 0; a < n; a++) {
        const int i = begin + a;
        const T *out = b.rowsB + a * dense.out;
        T *x = e.features + long(i) * s.features;
        for (int f = 0; f < s.features; f += lanes<T>)
            store<T>(x + f, load<T>(x + f) + load<T>(out + f));
        const T *ev = state.evAttended + long(i) * s.euclidean;
        T *next = last ? nullptr : e.layer[layer + 1].evIn + long(i) * s.euclidean; // nobody reads the last layer's
        for (int d = 0; d < s.numDegrees; d++) {
            const T factor = out[s.features + d];
            state.exchange[long(i) * s.numDegrees + d] = factor;
            if (next)
                for (int m = s.degreeStart[d]; m < s.degreeStart[d + 1]; m++)
                    next[m] = ev[m] + factor * ev[m];
        }
    }
}

// Everything from the messages of `layer` to its output, and q, k, v of the next.
template <class T> void atomForward(const Evaluation<T> &e, int layer, int begin, int n, AtomBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    const LayerWeights<T> &w = e.model->layers[layer];
    const LayerState<T> &state = e.layer[layer];
    collectMessages<T>(e, layer, begin, n, b.rowsA);
    if (w.norm1Weight)
        for (int i = begin; i < begin + n; i++)
            layerNorm<T>(s, w.norm1Weight, w.norm1Bias, e.features + long(i) * s.features,
                         state.norm1 + long(i) * s.features, state.norm1InverseStd + i);
    if (w.mlp1[0].weight)
        residualMlp<T>(e, w.mlp1, begin, n, state.mlp1Slope, state.mlp1HiddenSlope, b);
    exchangeForward<T>(e, layer, begin, n, b);
    if (w.mlp2[0].weight)
        residualMlp<T>(e, w.mlp2, begin, n, state.mlp2Slope, state.mlp2HiddenSlope, b);
    if (w.norm2Weight)
        for (int i = begin; i < begin + n; i++)
            layerNorm<T>(s, w.norm2Weight, w.norm2Bias, e.features + long(i) * s.features,
                         state.norm2 + long(i) * s.features, state.norm2InverseStd + i);
    if (layer + 1 < s.numLayers)
        project<T>(e, layer + 1, begin, n);
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
