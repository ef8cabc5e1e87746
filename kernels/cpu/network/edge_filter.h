#pragma once
// The edge filters w_ij = R(d_ij) + S(|ev_j - ev_i|^2 per degree) of a block of pairs.

#include "cpu/network/degrees.h"
#include "cpu/network/radial.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// Work space of a block of pairs.
template <class T> struct FilterBlock {
    T *basis;        // [2 block][K]
    T *radialHidden; // [2 block][F]
    T *differences;  // [block][degreeRow] squared differences of ev per degree
    T *hidden;       // [block][2 S] of the spherical filters, after activation
    T *hiddenSlope;  // [block][2 S]
    T *values[2];    // [block][block total]
    T *slopes[2];    // the same: dR/dd
};

// Puts the rows that the layer keeps for the way back, from pair `begin` on, in the place of the block's own.
// False: it keeps none.
template <class T> bool useKeptFilters(const Evaluation<T> &e, int layer, int begin, FilterBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    const LayerState<T> &state = e.layer[layer];
    if (!state.filter[0])
        return false;
    for (int m = 0; m < 2; m++)
        b.values[m] = state.filter[m] + long(begin) * s.block[m].total();
    b.hiddenSlope = state.filterHiddenSlope + long(begin) * 2 * s.spherical;
    return true;
}

// differences, hidden and hiddenSlope of the pairs [begin, begin + n)
template <class T>
void sphericalHidden(const Evaluation<T> &e, const LayerWeights<T> &w, const T *ev, int begin, int n,
                     FilterBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    for (int p = 0; p < n; p++) {
        const T *evI = ev + long(e.pairs.i[begin + p]) * s.euclidean;
        const T *evJ = ev + long(e.pairs.j[begin + p]) * s.euclidean;
        Vec<T> sums[degreeRow] = {};
        for (int v = 0; v * lanes<T> < s.euclidean; v++) {
            Vec<T> difference = load<T>(evJ + v * lanes<T>) - load<T>(evI + v * lanes<T>);
            addByDegree<T>(*e.model, v, difference * difference, sums);
        }
        storeSums<T, degreeRow>(sums, b.differences + p * degreeRow);
    }
    const int width = 2 * s.spherical;
    gemm<T>(n, b.differences, degreeRow, w.spherical0.weight, s.numDegrees, width, Start::Bias, w.spherical0.bias,
            b.hidden, width);
    for (int p = 0; p < n; p++)
        activateRow<T>(e.model->activation, b.hidden + p * width, width, b.hidden + p * width,
                       b.hiddenSlope + p * width);
}

// values (and slopes if wanted) of both filters.
template <class T>
void edgeFilters(const Evaluation<T> &e, int layer, int begin, int n, bool wantSlopes, FilterBlock<T> &b) {
    const Shape &s = shapeOf(*e.model);
    const LayerWeights<T> &w = e.model->layers[layer];
    const bool table = e.model->tableGrid.intervals > 0;
    if (!table)
        radialBasisBlock<T>(e, begin, n, b.basis);
    if (w.useSpherical)
        sphericalHidden<T>(e, w, e.layer[layer].evIn, begin, n, b);
    for (int m = 0; m < 2; m++) {
        const int total = s.block[m].total();
        T *slopes = wantSlopes ? b.slopes[m] : nullptr;
        if (table)
            radialFilterFromTable<T>(e, w, m, begin, n, b.values[m], slopes);
        else
            radialFilter<T>(e, w, m, n, b.basis, b.radialHidden, b.values[m], slopes);
        if (w.useSpherical)
            gemm<T>(n, b.hidden + m * s.spherical, 2 * s.spherical, w.spherical1[m].weight, w.spherical1[m].in, total,
                    Start::Accumulate, nullptr, b.values[m], total);
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
