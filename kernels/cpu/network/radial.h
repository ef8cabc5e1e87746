#pragma once
// Radial part of the edge filters: the small network on basis functions of the distance, or its spline table.

#include "cpu/network/shape_of.h"
#include "cpu/simd/activation.h"
#include "cpu/simd/gemm.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// Rows of basis functions of the pairs [begin, begin + n): first n rows of values, then n rows of slopes, [2n][K].
template <class T> void radialBasisBlock(const Evaluation<T> &e, int begin, int n, T *rows) {
    const Shape &s = shapeOf(*e.model);
    double values[maxRadial], slopes[maxRadial];
    for (int p = 0; p < n; p++) {
        e.model->radialBasis->evaluate(e.distance[begin + p], values, slopes);
        for (int k = 0; k < s.numRadial; k++) {
            rows[p * s.radial + k] = T(values[k]);
            rows[(n + p) * s.radial + k] = T(slopes[k]);
        }
    }
}

// The radial network of filter m: [n][block total] values (biases of both filter parts included) and, unless slopes
// is null, their derivatives with respect to the distance. hidden: [2n][F] work space.
template <class T>
void radialFilter(const Evaluation<T> &e, const LayerWeights<T> &w, int m, int n, const T *basis, T *hidden, T *values,
                  T *slopes) {
    const Shape &s = shapeOf(*e.model);
    const int F = s.features, total = s.block[m].total();
    const Dense<T> &first = w.radial0[m], &second = w.radial1[m];
    gemm<T>(slopes ? 2 * n : n, basis, s.radial, first.weight, first.in, F, Start::Zero, nullptr, hidden, F);
    for (int p = 0; p < n; p++) {
        T *row = hidden + p * F, *slopeRow = hidden + (n + p) * F;
        for (int f = 0; f < F; f += lanes<T>) {
            Vec<T> d, y = activate<T>(e.model->activation, load<T>(row + f) + load<T>(first.bias + f), d);
            store<T>(row + f, y);
            if (slopes)
                store<T>(slopeRow + f, load<T>(slopeRow + f) * d);
        }
    }
    gemm<T>(n, hidden, F, second.weight, second.in, total, Start::Bias, second.bias, values, total);
    if (slopes)
        gemm<T>(n, hidden + n * F, F, second.weight, second.in, total, Start::Zero, nullptr, slopes, total);
}

// The same from the spline table: values [n][block total] and, unless null, slopes.
template <class T>
void radialFilterFromTable(const Evaluation<T> &e, const LayerWeights<T> &w, int m, int begin, int n, T *values,
                           T *slopes) {
    constexpr int order = RadialTable::order;
    const int total = shapeOf(*e.model).block[m].total();
    const RadialGrid grid = e.model->tableGrid;
    RadialGrid::Place place = grid.place(e.distance[begin]), nextPlace = place;
    for (int p = 0; p < n; p++, place = nextPlace) {
        const Vec<T> t = broadcast<T>(T(place.position));
        const T *c = w.table[m] + long(place.interval) * order * total;
        nextPlace = grid.place(e.distance[begin + (p + 1 < n ? p + 1 : p)]);
        const T *next = w.table[m] + long(nextPlace.interval) * order * total;
        for (int f = 0; f < total; f += lanes<T>) {
#pragma GCC unroll 6
            for (int k = 0; k < order; k++)
                __builtin_prefetch(next + k * total + f);
            Vec<T> power[order];
#pragma GCC unroll 6
            for (int k = 0; k < order; k++)
                power[k] = load<T>(c + k * total + f);
            Vec<T> value = power[order - 1];
#pragma GCC unroll 6
            for (int k = order - 2; k >= 0; k--)
                value = value * t + power[k];
            store<T>(values + p * total + f, value);
            if (slopes) {
                Vec<T> slope = T(order - 1) * power[order - 1];
#pragma GCC unroll 6
                for (int k = order - 2; k >= 1; k--)
                    slope = slope * t + T(k) * power[k];
                store<T>(slopes + p * total + f, slope * T(place.inverseStep));
            }
        }
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
