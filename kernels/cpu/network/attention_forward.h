#pragma once
// Attention coefficients of a block of pairs, both directions, and their derivative with respect to the distance:
//   alpha_ij = scale f_c(d) sum_c q_i w_ij k_j    per head (x) and per degree (ev)
// The ev coefficient of j<-i carries the parity (-1)^l of Y(-u), so that both directions multiply the same Y(u).

#include "cpu/network/edge_filter.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

template <class T> SO3K_INLINE T parity(int degree) { return degree % 2 ? T(-1) : T(1); }

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
            T *alpha = state.alpha + long(pair) * s.alphaRow();
            T *alphaSlope = e.withGradient ? state.alphaSlope + long(pair) * s.alphaRow() : nullptr;
            for (int m = 0; m < 2; m++) {
                const BlockLayout &layout = s.block[m];
                const T cut = e.cutoff[2L * pair] * T(e.model->messageScale[m]);
                const T cutSlope = e.cutoff[2L * pair + 1] * T(e.model->messageScale[m]);
                const T *queryI = atI + s.query(m), *queryJ = atJ + s.query(m);
                const T *keyI = atI + s.key(m), *keyJ = atJ + s.key(m);
                const T *value = b.values[m] + p * layout.total(), *slope = b.slopes[m] + p * layout.total();
                for (int block = 0; block < layout.count; block++) {
                    Vec<T> sums[4] = {};
                    for (int c = block * layout.stride; c < (block + 1) * layout.stride; c += lanes<T>) {
                        Vec<T> ij = load<T>(queryI + c) * load<T>(keyJ + c),
                               ji = load<T>(queryJ + c) * load<T>(keyI + c);
                        Vec<T> w = load<T>(value + c);
                        sums[0] += ij * w;
                        sums[1] += ji * w;
                        if (alphaSlope) {
                            Vec<T> dw = load<T>(slope + c);
                            sums[2] += ij * dw;
                            sums[3] += ji * dw;
                        }
                    }
                    T raw[4];
                    if (alphaSlope)
                        storeSums<T, 4>(sums, raw);
                    else
                        storeSums<T, 2>(sums, raw);
                    for (int direction = 0; direction < 2; direction++) {
                        const T sign = m == 1 && direction == 1 ? parity<T>(s.degree[block]) : T(1);
                        const int k = s.alpha(m, direction) + block;
                        alpha[k] = cut * sign * raw[direction];
                        if (alphaSlope)
                            alphaSlope[k] = sign * (cutSlope * raw[direction] + cut * raw[2 + direction]);
                    }
                }
            }
        }
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
