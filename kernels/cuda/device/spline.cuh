// Quintic splines, as powers of t in [0, 1) (radial/radial_table.h).
#pragma once

#include "cuda/device/spline_grid.h"

namespace so3krates {
namespace cuda {

constexpr int splineOrder = 6; // coefficients of a piece

// 1/Å of an interval, by which derivatives by t become derivatives by d.
__device__ inline double inverseWidth(const SplineGrid &grid, int interval) {
    return interval < grid.fine ? grid.inverseStep : grid.inverseStep * grid.inverseCoarsening;
}

// The value of the piece whose coefficients lie `stride` apart, and its derivative by t.
template <bool withSlope, class T> __device__ inline T splineValue(const T *piece, int stride, T t, T &slope) {
    T c[splineOrder];
#pragma unroll
    for (int k = 0; k < splineOrder; k++)
        c[k] = piece[k * stride];
    if constexpr (withSlope)
        slope = c[1] + t * (2 * c[2] + t * (3 * c[3] + t * (4 * c[4] + t * (5 * c[5]))));
    return c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))));
}

} // namespace cuda
} // namespace so3krates
