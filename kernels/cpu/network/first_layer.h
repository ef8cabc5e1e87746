#pragma once
// The first layer's attention coefficients from the tables of radial/first_layer_tables.h: what attentionForward
// computes, for a fraction of its work.

#include "cpu/network/shape_of.h"
#include "cpu/simd/vector.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

template <class T> void firstLayerForward(const Evaluation<T> &e, int begin, int end) {
    constexpr int order = RadialTable::order;
    const Shape &s = shapeOf(*e.model);
    const FirstLayerView<T> &tables = e.firstLayer;
    const int alphaRow = s.alphaRow();
    const RadialGrid grid = e.model->tableGrid;
    for (int p = begin; p < end; p++) {
        const RadialGrid::Place place = grid.place(e.distance[p]);
        const Vec<T> t = broadcast<T>(T(place.position));
        const int kinds = tables.kind[e.pairs.i[p]] * tables.mostKinds + tables.kind[e.pairs.j[p]];
        const T *c = tables.tables[kinds] + long(place.interval) * order * tables.row;
        const T cut = e.cutoff[2L * p], cutSlope = e.cutoff[2L * p + 1];
        T alpha[tables.mostRow], alphaSlope[tables.mostRow];
        for (int k = 0; k < tables.row; k += lanes<T>) {
            Vec<T> value = load<T>(c + (order - 1) * tables.row + k), slope = zero<T>();
#pragma GCC unroll 5
            for (int power = order - 2; power >= 0; power--) {
                slope = slope * t + value;
                value = value * t + load<T>(c + power * tables.row + k);
            }
            store<T>(alpha + k, cut * value);
            store<T>(alphaSlope + k, cutSlope * value + (cut * T(place.inverseStep)) * slope);
        }
        __builtin_memcpy(e.layer[0].alpha + long(p) * alphaRow, alpha, sizeof(T) * alphaRow);
        if (e.withGradient)
            __builtin_memcpy(e.layer[0].alphaSlope + long(p) * alphaRow, alphaSlope, sizeof(T) * alphaRow);
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
