// The grid of the radial splines (radial/radial_grid.h), for the host and the device.
#pragma once

namespace so3krates {
namespace cuda {

struct SplineGrid {
    double inverseStep;       // 1/Å, of the fine intervals
    double inverseCoarsening; // fine over wide intervals
    int fine;                 // fine intervals, the first ones
    int intervals;            // all; 0: there is no table
};

} // namespace cuda
} // namespace so3krates
