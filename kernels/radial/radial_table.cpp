#include "radial/radial_table.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <string>

#include "radial/radial_network.h"

namespace so3krates {

void quintic(const double left[3], const double right[3], double c[6]) {
    const double step = right[0] - left[0] - left[1] - 0.5 * left[2];
    const double slope = right[1] - left[1] - left[2], curvature = right[2] - left[2];
    c[0] = left[0];
    c[1] = left[1];
    c[2] = 0.5 * left[2];
    c[3] = 10 * step - 4 * slope + 0.5 * curvature;
    c[4] = -15 * step + 7 * slope - curvature;
    c[5] = 6 * step - 3 * slope + 0.5 * curvature;
}

namespace {

// The table on a grid. outerError: of the wide intervals alone.
RadialTable tableOn(const RadialGrid &grid, const Model &model, double &outerError) {
    const Hyperparameters &h = model.hyperparameters();
    const int F = h.numFeatures;
    RadialTable table;
    table.grid = grid;
    table.numFeatures = F;
    table.coefficients.assign(size_t(h.numLayers) * 2 * grid.intervals * RadialTable::order * F, 0.0f);
    outerError = 0;
    for (int layer = 0; layer < h.numLayers; layer++)
        for (int filter = 0; filter < 2; filter++) {
            const RadialNetwork network(model, layer, filter);
            std::vector<double> left(3 * size_t(F)), right(3 * size_t(F)), exact(F);
            double squares = 0, largest = 0, largestOutside = 0;
            network.evaluate(0, 3, left.data());
            for (int interval = 0; interval < grid.intervals; interval++) {
                const double begin = grid.start(interval), end = grid.start(interval + 1), step = end - begin;
                network.evaluate(end, 3, right.data());
                network.evaluate(begin + 0.5 * step, 1, exact.data());
                float *out = const_cast<float *>(table.piece(layer, filter, interval));
                double deviation = 0;
                for (int f = 0; f < F; f++) {
                    const double l[3] = {left[f], left[F + f] * step, left[2 * F + f] * step * step};
                    const double r[3] = {right[f], right[F + f] * step, right[2 * F + f] * step * step};
                    double c[6], middle = 0;
                    quintic(l, r, c);
                    for (int k = RadialTable::order - 1; k >= 0; k--) {
                        middle = 0.5 * middle + c[k];
                        out[k * F + f] = float(c[k]);
                    }
                    deviation = std::max(deviation, std::abs(middle - exact[f]));
                    squares += grid.width(interval) * exact[f] * exact[f];
                }
                largest = std::max(largest, deviation);
                if (interval >= grid.fine)
                    largestOutside = std::max(largestOutside, deviation);
                left.swap(right);
            }
            const double points = grid.fine + double(grid.coarsening) * (grid.intervals - grid.fine);
            const double rms = std::sqrt(squares / (points * F));
            table.error = std::max(table.error, rms > 0 ? largest / rms : 0.0);
            outerError = std::max(outerError, rms > 0 ? largestOutside / rms : 0.0);
        }
    return table;
}

} // namespace

RadialTable makeRadialTable(const Model &model, double bound, double unnoticed) {
    constexpr int coarsening = 3;
    for (int intervals : {256, 512, 1024}) {
        double outerError;
        const int fine = intervals / 4;
        RadialGrid grid;
        grid.inverseStep = intervals / model.hyperparameters().cutoff;
        grid.fine = grid.intervals = intervals;
        RadialTable uniform = tableOn(grid, model, outerError);
        if (!(uniform.error < bound))
            continue;
        grid.fine = fine;
        grid.coarsening = coarsening;
        grid.intervals = fine + (intervals - fine) / coarsening;
        RadialTable widening = tableOn(grid, model, outerError);
        return outerError < unnoticed ? widening : uniform;
    }
    return RadialTable();
}

std::shared_ptr<const RadialTable> sharedRadialTable(const Model &model) {
    static std::mutex mutex;
    static std::map<std::string, std::weak_ptr<const RadialTable>> tables; // by the model's hash
    std::lock_guard<std::mutex> lock(mutex);
    std::shared_ptr<const RadialTable> table = tables[model.sha256()].lock();
    if (!table) {
        table = std::make_shared<const RadialTable>(makeRadialTable(model));
        tables[model.sha256()] = table;
    }
    return table;
}

} // namespace so3krates
