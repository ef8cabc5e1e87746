#pragma once
// The radial splines' grid as the kernels get it.

#include "cuda/device/spline_grid.h"
#include "radial/radial_grid.h"

namespace so3krates::cuda {

inline SplineGrid splineGrid(const RadialGrid &grid) {
    return {grid.inverseStep, 1.0 / grid.coarsening, grid.fine, grid.intervals};
}

} // namespace so3krates::cuda
