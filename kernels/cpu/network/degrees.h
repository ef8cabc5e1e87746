#pragma once
// Euclidean variables in vectors: a row's components by degree, summed or weighted, without a loop per component.

#include "cpu/network/shape_of.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// Degrees in a row of sums: a power of two, as storeSums wants it.
constexpr int degreeRow = mostDegrees <= 4 ? 4 : 8;
static_assert(degreeRow >= mostDegrees);

// Whether vector v of a row has components of degree index d.
template <class T> SO3K_INLINE bool holdsDegree(const Shape &s, int v, int d) {
    return s.degreeStart[d] < (v + 1) * lanes<T> && s.degreeStart[d + 1] > v * lanes<T>;
}

// Adds vector v of a row to the sums of the degrees it holds.
template <class T> SO3K_INLINE void addByDegree(const PackedModel<T> &model, int v, Vec<T> x, Vec<T> *sums) {
    const Shape &s = shapeOf(model);
#pragma GCC unroll 5
    for (int d = 0; d < s.numDegrees; d++)
        if (holdsDegree<T>(s, v, d))
            sums[d] += load<T>(model.degreeMask + d * s.euclidean + v * lanes<T>) * x;
}

// Vector v of the row that holds values[d] at each component of degree index d.
template <class T> SO3K_INLINE Vec<T> spreadDegrees(const PackedModel<T> &model, int v, const T *values) {
    const Shape &s = shapeOf(model);
    Vec<T> row = zero<T>();
#pragma GCC unroll 5
    for (int d = 0; d < s.numDegrees; d++)
        if (holdsDegree<T>(s, v, d))
            row += load<T>(model.degreeMask + d * s.euclidean + v * lanes<T>) * values[d];
    return row;
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
