#pragma once
// The radial networks of a frozen model as splines: R is a function of the distance alone, so the two matrix products
// per edge, filter and layer become one polynomial. Quintic pieces that match value, slope and curvature at the grid
// points (C2), stored as powers of t in [0, 1): c0 + c1 t + ... + c5 t^5. The powers' derivative does not cancel in
// float32, as that of the Hermite form does.

#include <memory>
#include <vector>

#include "model/model.h"
#include "radial/radial_grid.h"

namespace so3krates {

struct RadialTable {
    static constexpr int order = 6;
    RadialGrid grid;  // no intervals: no table met the bound, use the networks
    double error = 0; // largest deviation from the networks, relative to their rms
    int numFeatures = 0;
    std::vector<float> coefficients; // [layer][filter x, ev][interval][order][F], radial bias included
    const float *piece(int layer, int filter, int interval) const {
        return coefficients.data() +
               ((size_t(layer) * 2 + filter) * grid.intervals + interval) * order * size_t(numFeatures);
    }
};

// The powers of the quintic through value, slope and curvature (per interval) at both ends.
void quintic(const double left[3], const double right[3], double c[RadialTable::order]);

// Tries 256, 512 and 1024 intervals until the error is below `bound`, measured halfway between grid points; then
// intervals three times wider in the outer three quarters of the range, if their error stays below `unnoticed`.
RadialTable makeRadialTable(const Model &model, double bound = 1e-4, double unnoticed = 5e-7);

// The table of a model, made once per process for as long as somebody uses it: making one takes a few tenths of a
// second, and every OpenMM Context needs it.
std::shared_ptr<const RadialTable> sharedRadialTable(const Model &model);

} // namespace so3krates
