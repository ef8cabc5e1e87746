#include "neighbors/spatial_order.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

namespace so3krates {

namespace {

constexpr double cellSize = 3; // Å
constexpr int bits = 21;       // of a cell number; three of them fill a key

// The bits of x, two zeros between each and the next.
uint64_t spread(uint64_t x) {
    x = (x | x << 32) & 0x1f00000000ffffull;
    x = (x | x << 16) & 0x1f0000ff0000ffull;
    x = (x | x << 8) & 0x100f00f00f00f00full;
    x = (x | x << 4) & 0x10c30c30c30c30c3ull;
    return (x | x << 2) & 0x1249249249249249ull;
}

} // namespace

void spatialOrder(const System &system, const std::vector<Box> &boxes, std::vector<int> &order) {
    order.resize(system.numAtoms);
    std::vector<std::pair<uint64_t, int>> keys;
    std::vector<double> positions;
    for (int m = 0; m < system.numMolecules; m++) {
        const int begin = system.offsets ? system.offsets[m] : 0;
        const int n = (system.offsets ? system.offsets[m + 1] : system.numAtoms) - begin;
        positions.assign(system.positions + 3L * begin, system.positions + 3L * (begin + n));
        double low[3] = {INFINITY, INFINITY, INFINITY};
        for (int a = 0; a < n; a++) {
            int shift[3];
            if (boxes[m].periodic)
                boxes[m].wrap(&positions[3L * a], shift);
            for (int k = 0; k < 3; k++)
                low[k] = std::min(low[k], positions[3L * a + k]);
        }
        keys.resize(n);
        for (int a = 0; a < n; a++) {
            uint64_t key = 0;
            for (int k = 0; k < 3; k++) {
                const double cell = (positions[3L * a + k] - low[k]) / cellSize;
                key |= spread(uint64_t(std::min(cell, double((1 << bits) - 1)))) << k;
            }
            keys[a] = {key, begin + a};
        }
        std::sort(keys.begin(), keys.end());
        for (int a = 0; a < n; a++)
            order[begin + a] = keys[a].second;
    }
}

} // namespace so3krates
