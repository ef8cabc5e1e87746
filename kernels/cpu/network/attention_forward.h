#pragma once
// Attention coefficients of a block of pairs, both directions, and their derivative with respect to the distance:
//   alpha_ij = scale f_c(d) sum_c q_i w_ij k_j    per head (x) and per degree (ev)
// The ev coefficient of j<-i carries the parity (-1)^l of Y(-u), so that both directions multiply the same Y(u).

#include "cpu/network/edge_filter.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

template <class T> SO3K_INLINE T parity(int degree) { return degree % 2 ? T(-1) : T(1); }

// Blocks (heads, degrees) whose sums are taken together: sums of the lanes of many vectors cost less than one by one.
constexpr int blocksAtOnce = 4;

template <class T> void attentionForward(const Evaluation<T> &e, int layer, int begin, int end, FilterBlock<T> b) {
    const Shape &s = shapeOf(*e.model);
    const LayerState<T> &state = e.layer[layer];
    const int row = s.attentionRow();
    for (int first = begin; first < end; first += pairBlock) {
        const int n = end - first < pairBlock ? end - first : pairBlock;
        useKeptFilters<T>(e, layer, first, b);
        edgeFilters<T>(e, layer, first, n, e.withGradient, b);
        for (int p = 0; p < n; p++) {
            const int pair = first + p;
            const T *atI = state.attention + long(e.pairs.i[pair]) * row;
            const T *atJ = state.attention + long(e.pairs.j[pair]) * row;
            const int next = pair + 1 < e.pairs.numPairs ? pair + 1 : pair;
            const T *nextJ = state.attention + long(e.pairs.j[next]) * row;
            T *alpha = state.alpha + long(pair) * s.alphaRow();
            T *alphaSlope = e.withGradient ? state.alphaSlope + long(pair) * s.alphaRow() : nullptr;
            for (int m = 0; m < 2; m++) {
                const BlockLayout &layout = s.block[m];
                const T cut = e.cutoff[2L * pair] * T(e.model->messageScale[m]);
                const T cutSlope = e.cutoff[2L * pair + 1] * T(e.model->messageScale[m]);
                const T *queryI = atI + s.query(m), *queryJ = atJ + s.query(m);
                const T *keyI = atI + s.key(m), *keyJ = atJ + s.key(m);
                const T *value = b.values[m] + p * layout.total(), *slope = b.slopes[m] + p * layout.total();
                for (int start = 0; start < layout.count; start += blocksAtOnce) {
                    // Sums over the channels of each block: values i<-j and j<-i, slopes i<-j and j<-i.
                    Vec<T> sums[4 * blocksAtOnce] = {};
#pragma GCC unroll 4
                    for (int b = 0; b < blocksAtOnce; b++) {
                        if (start + b >= layout.count)
                            break;
                        for (int c = (start + b) * layout.stride; c < (start + b + 1) * layout.stride; c += lanes<T>) {
                            __builtin_prefetch(nextJ + s.query(m) + c);
                            __builtin_prefetch(nextJ + s.key(m) + c);
                            Vec<T> ij = load<T>(queryI + c) * load<T>(keyJ + c),
                                   ji = load<T>(queryJ + c) * load<T>(keyI + c);
                            Vec<T> w = load<T>(value + c);
                            sums[b] += ij * w;
                            sums[blocksAtOnce + b] += ji * w;
                            if (alphaSlope) {
                                Vec<T> dw = load<T>(slope + c);
                                sums[2 * blocksAtOnce + b] += ij * dw;
                                sums[3 * blocksAtOnce + b] += ji * dw;
                            }
                        }
                    }
                    T raw[4 * blocksAtOnce];
                    if (alphaSlope)
                        storeSums<T, 4 * blocksAtOnce>(sums, raw);
                    else
                        storeSums<T, 2 * blocksAtOnce>(sums, raw);
                    for (int direction = 0; direction < 2; direction++)
#pragma GCC unroll 4
                        for (int b = 0; b < blocksAtOnce; b++) {
                            if (start + b >= layout.count)
                                break;
                            const T sign = m == 1 && direction == 1 ? parity<T>(s.degree[start + b]) : T(1);
                            const T sum = raw[direction * blocksAtOnce + b];
                            const int k = s.alpha(m, direction) + start + b;
                            alpha[k] = cut * sign * sum;
                            if (alphaSlope)
                                alphaSlope[k] = sign * (cutSlope * sum + cut * raw[(2 + direction) * blocksAtOnce + b]);
                        }
                }
            }
        }
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
