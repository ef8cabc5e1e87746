#pragma once
// The way back through the attention of one layer, for the pairs of one tile: from dE/d(message to x) and dE/dev to
// dE/dd and dE/dY of each pair, and to dE/d(q, k, v) and dE/d(ev at the layer's input), collected in the tile's slots.
// In large systems the filters are computed again rather than kept: nothing of width F per pair stays in memory.

#include "cpu/network/attention_forward.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// What flows back through the filters of a block of pairs.
template <class T> struct FilterGradientBlock {
    T *alphaGradient; // [block][alphaRow] dE/d(alpha), parity included as in alpha
    T *values[2];     // [block][block total] dE/dw
    T *hidden;        // [block][2 S]
};

// dE/d(alpha) of pair p; adds its share to distanceGradient and harmonicsGradient.
template <class T> void coefficientGradients(const Evaluation<T> &e, int layer, int pair, T *gradient) {
    const Shape &s = shapeOf(*e.model);
    const LayerState<T> &state = e.layer[layer];
    const int i = e.pairs.i[pair], j = e.pairs.j[pair], total = s.block[0].total(), row = s.attentionRow();
    const T *messageI = e.messageGradient + long(i) * total, *messageJ = e.messageGradient + long(j) * total;
    const T *valueI = state.attention + long(i) * row + s.valueX(),
            *valueJ = state.attention + long(j) * row + s.valueX();
    const int nextJ = e.pairs.j[pair + 1 < e.pairs.numPairs ? pair + 1 : pair];
    const T *nextMessage = e.messageGradient + long(nextJ) * total,
            *nextValue = state.attention + long(nextJ) * row + s.valueX();
    for (int first = 0; first < s.block[0].count; first += blocksAtOnce) {
        Vec<T> both[2 * blocksAtOnce] = {};
#pragma GCC unroll 4
        for (int b = 0; b < blocksAtOnce; b++)
            if (first + b < s.block[0].count)
                for (int c = (first + b) * s.block[0].stride; c < (first + b + 1) * s.block[0].stride; c += lanes<T>) {
                    __builtin_prefetch(nextMessage + c);
                    __builtin_prefetch(nextValue + c);
                    both[b] += load<T>(messageI + c) * load<T>(valueJ + c);
                    both[blocksAtOnce + b] += load<T>(messageJ + c) * load<T>(valueI + c);
                }
        T raw[2 * blocksAtOnce];
        storeSums<T, 2 * blocksAtOnce>(both, raw);
        for (int b = 0; b < blocksAtOnce && first + b < s.block[0].count; b++) {
            gradient[s.alpha(0, 0) + first + b] = raw[b];
            gradient[s.alpha(0, 1) + first + b] = raw[blocksAtOnce + b];
        }
    }
    const T *evI = e.evGradient + long(i) * s.euclidean, *evJ = e.evGradient + long(j) * s.euclidean;
    const T *y = e.harmonics + long(pair) * s.euclidean;
    const T *alpha = state.alpha + long(pair) * s.alphaRow();
    T *yGradient = e.harmonicsGradient + long(pair) * s.euclidean;
    Vec<T> ij[degreeRow] = {}, ji[degreeRow] = {};
    for (int v = 0; v * lanes<T> < s.euclidean; v++) {
        const int m = v * lanes<T>;
        Vec<T> atI = load<T>(evI + m), atJ = load<T>(evJ + m), yv = load<T>(y + m);
        addByDegree<T>(*e.model, v, atI * yv, ij);
        addByDegree<T>(*e.model, v, atJ * yv, ji);
        store<T>(yGradient + m, load<T>(yGradient + m) + spreadDegrees<T>(*e.model, v, alpha + s.alpha(1, 0)) * atI +
                                    spreadDegrees<T>(*e.model, v, alpha + s.alpha(1, 1)) * atJ);
    }
    T perDegree[2][degreeRow];
    storeSums<T, degreeRow>(ij, perDegree[0]);
    storeSums<T, degreeRow>(ji, perDegree[1]);
    for (int direction = 0; direction < 2; direction++)
        for (int d = 0; d < s.numDegrees; d++)
            gradient[s.alpha(1, direction) + d] = perDegree[direction][d];
    const T *slope = state.alphaSlope + long(pair) * s.alphaRow();
    e.distanceGradient[pair] += dot<T>(gradient, slope, s.alphaRow());
}

// dE/dw of pair p (row p of the block), and its share of dE/d(q, k, v) in the slots of i and j.
template <class T>
void filterGradients(const Evaluation<T> &e, int layer, int pair, int p, const FilterBlock<T> &filter,
                     FilterGradientBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    const LayerState<T> &state = e.layer[layer];
    const int i = e.pairs.i[pair], j = e.pairs.j[pair], row = s.attentionRow();
    const T *atI = state.attention + long(i) * row, *atJ = state.attention + long(j) * row;
    const T *gradient = b.alphaGradient + p * s.alphaRow();
    const T *alpha = state.alpha + long(pair) * s.alphaRow();
    T *slotI = e.slotGradients + long(e.pairs.slotI[pair]) * s.gradientRow();
    T *slotJ = e.slotGradients + long(e.pairs.slotJ[pair]) * s.gradientRow();
    const T *messageI = e.messageGradient + long(i) * s.block[0].total();
    const T *messageJ = e.messageGradient + long(j) * s.block[0].total();
    for (int m = 0; m < 2; m++) {
        const BlockLayout &layout = s.block[m];
        const T cut = e.cutoff[2L * pair] * T(e.model->messageScale[m]);
        const T *queryI = atI + s.query(m), *queryJ = atJ + s.query(m), *keyI = atI + s.key(m), *keyJ = atJ + s.key(m);
        const T *value = filter.values[m] + p * layout.total();
        const T *laterValue = value + 6 * layout.total(); // may lie beyond the last pair
        T *out = b.values[m] + p * layout.total();
        for (int block = 0; block < layout.count; block++) {
            T sign = m == 1 ? parity<T>(s.degree[block]) : T(1);
            Vec<T> a = broadcast<T>(cut * gradient[s.alpha(m, 0) + block]);
            Vec<T> back = broadcast<T>(cut * sign * gradient[s.alpha(m, 1) + block]);
            Vec<T> alphaIJ = broadcast<T>(alpha[s.alpha(0, 0) + (m == 0 ? block : 0)]);
            Vec<T> alphaJI = broadcast<T>(alpha[s.alpha(0, 1) + (m == 0 ? block : 0)]);
            for (int c = block * layout.stride; c < (block + 1) * layout.stride; c += lanes<T>) {
                Vec<T> qi = load<T>(queryI + c), qj = load<T>(queryJ + c), ki = load<T>(keyI + c),
                       kj = load<T>(keyJ + c);
                store<T>(out + c, a * qi * kj + back * qj * ki);
                __builtin_prefetch(laterValue + c);
                Vec<T> w = load<T>(value + c), aw = a * w, backw = back * w;
                auto add = [](T *to, Vec<T> x) { store<T>(to, load<T>(to) + x); };
                add(slotI + s.query(m) + c, aw * kj);
                add(slotJ + s.key(m) + c, aw * qi);
                add(slotJ + s.query(m) + c, backw * ki);
                add(slotI + s.key(m) + c, backw * qj);
                if (m == 0) {
                    add(slotJ + s.valueX() + c, alphaIJ * load<T>(messageI + c));
                    add(slotI + s.valueX() + c, alphaJI * load<T>(messageJ + c));
                }
            }
        }
    }
}

// dE/d(ev at the layer's input) of a block of pairs through the spherical filters' argument, into the slots.
template <class T>
void differenceGradients(const Evaluation<T> &e, int layer, int first, int n, const FilterBlock<T> &filter,
                         FilterGradientBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    const LayerWeights<T> &w = e.model->layers[layer];
    const int width = 2 * s.spherical;
    for (int m = 0; m < 2; m++)
        gemm<T>(n, b.values[m], s.block[m].total(), w.spherical1Back[m].weight, w.spherical1Back[m].in, s.spherical,
                Start::Zero, nullptr, b.hidden + m * s.spherical, width);
    for (int p = 0; p < n; p++) {
        const int pair = first + p;
        const T *hidden = b.hidden + p * width, *slope = filter.hiddenSlope + p * width;
        const T *evI = e.layer[layer].evIn + long(e.pairs.i[pair]) * s.euclidean;
        const T *evJ = e.layer[layer].evIn + long(e.pairs.j[pair]) * s.euclidean;
        T *slotI = e.slotGradients + long(e.pairs.slotI[pair]) * s.gradientRow() + s.attentionRow();
        T *slotJ = e.slotGradients + long(e.pairs.slotJ[pair]) * s.gradientRow() + s.attentionRow();
        Vec<T> sums[degreeRow] = {};
        for (int k = 0; k < width; k += lanes<T>) {
            Vec<T> g = load<T>(hidden + k) * load<T>(slope + k);
            for (int d = 0; d < s.numDegrees; d++)
                sums[d] += g * load<T>(w.spherical0Rows + d * width + k);
        }
        T gradient[degreeRow]; // dE/d(squared difference)
        storeSums<T, degreeRow>(sums, gradient);
        for (int v = 0; v * lanes<T> < s.euclidean; v++) {
            const int m = v * lanes<T>;
            Vec<T> difference = load<T>(evJ + m) - load<T>(evI + m);
            Vec<T> along = T(2) * spreadDegrees<T>(*e.model, v, gradient) * difference;
            store<T>(slotJ + m, load<T>(slotJ + m) + along);
            store<T>(slotI + m, load<T>(slotI + m) - along);
        }
    }
}

// All of the above for one tile. atoms: whether gradients of q, k, v and ev of this layer's input are of use (they are
// not in a first layer whose input does not depend on the positions).
template <class T>
void attentionBackward(const Evaluation<T> &e, int layer, int tile, bool atoms, FilterBlock<T> filter,
                       FilterGradientBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    const int begin = e.pairs.tilePair[tile], end = e.pairs.tilePair[tile + 1];
    if (atoms) {
        T *slots = e.slotGradients + long(e.pairs.tileSlot[tile]) * s.gradientRow();
        __builtin_memset(slots, 0,
                         sizeof(T) * s.gradientRow() * long(e.pairs.tileSlot[tile + 1] - e.pairs.tileSlot[tile]));
    }
    for (int first = begin; first < end; first += pairBlock) {
        const int n = end - first < pairBlock ? end - first : pairBlock;
        for (int p = 0; p < n; p++)
            coefficientGradients<T>(e, layer, first + p, b.alphaGradient + p * s.alphaRow());
        if (!atoms)
            continue;
        if (!useKeptFilters<T>(e, layer, first, filter))
            edgeFilters<T>(e, layer, first, n, false, filter);
        for (int p = 0; p < n; p++)
            filterGradients<T>(e, layer, first + p, p, filter, b);
        if (e.model->layers[layer].useSpherical)
            differenceGradients<T>(e, layer, first, n, filter, b);
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
