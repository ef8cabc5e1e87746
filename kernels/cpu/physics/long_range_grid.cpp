#include "cpu/physics/long_range_grid.h"

#include <algorithm>
#include <cmath>

#include "threads/parallel.h"

namespace so3krates::cpu {

namespace {

constexpr int atomsPerTask = 32;

// The length of which coordinates are multiples: differences up to `most` Å stay below 2^30.
template <class T> double unitFor(double most);
template <> double unitFor<float>(double most) { return std::exp2(std::ceil(std::log2(most)) - 30); }
template <> double unitFor<double>(double) { return 1; }

template <class T> typename LongRangeCoordinate<T>::Type inUnits(double x, double unit);
template <> uint32_t inUnits<float>(double x, double unit) { return uint32_t(std::llrint(x / unit)); }
template <> double inUnits<double>(double x, double) { return x; }

} // namespace

template <class T>
void LongRangeGrid<T>::build(const System &system, const std::vector<Box> &boxes, const double *wrapped, double cutoff,
                             ThreadTeam &team) {
    const int numAtoms = system.numAtoms, numMolecules = system.numMolecules;
    const auto beginOf = [&](int m) { return m == numMolecules ? numAtoms : system.offsets ? system.offsets[m] : 0; };
    allPairs = std::isinf(cutoff);
    const size_t stride = numAtoms + longRangeSlack;
    atoms.resize(numAtoms);
    grids.resize(numMolecules);
    units.assign(numMolecules, T(1));
    if (allPairs) {
        positions.resize(3L * numAtoms);
        for (int i = 0; i < numAtoms; i++) {
            atoms[i] = i;
            for (int k = 0; k < 3; k++)
                positions[size_t(k) * numAtoms + i] = wrapped[3L * i + k];
        }
    } else {
        coordinates.resize(3 * stride);
        parallelFor(team, numMolecules, [&](int m, int) {
            const int begin = beginOf(m), n = beginOf(m + 1) - begin;
            CellGrid &grid = grids[m];
            grid.build(boxes[m], wrapped, begin, begin + n, cutoff);
            const double unit = unitFor<T>(grid.reachLength);
            units[m] = T(unit);
            for (int a = 0; a < n; a++) {
                atoms[begin + a] = grid.order[a];
                for (int k = 0; k < 3; k++)
                    coordinates[k * stride + begin + a] = inUnits<T>(grid.sorted[size_t(k) * n + a], unit);
            }
        });
    }
    tasks.clear();
    for (int m = 0; m < numMolecules; m++)
        for (int first = beginOf(m); first < beginOf(m + 1); first += atomsPerTask)
            tasks.push_back({m, beginOf(m), beginOf(m + 1), first, std::min(first + atomsPerTask, beginOf(m + 1))});
}

template <class T> void LongRangeGrid<T>::setCoordinates(LongRangeTerms<T> &terms) const {
    for (int k = 0; k < 3; k++) {
        terms.positions[k] = allPairs ? positions.data() + k * atoms.size() : nullptr;
        terms.coordinates[k] = allPairs ? nullptr : coordinates.data() + k * (atoms.size() + longRangeSlack);
    }
}

template <class T>
void LongRangeGrid<T>::runsAround(const Task &task, int place, std::vector<LongRangeRun<T>> &runs, int &runsOf) const {
    const CellGrid &grid = grids[task.molecule];
    const int cell = grid.cell[place - task.begin];
    if (cell == runsOf)
        return;
    runsOf = cell;
    std::vector<CellGrid::Run> found;
    grid.runsAround(cell, found);
    runs.clear();
    for (const CellGrid::Run &run : found) {
        LongRangeRun<T> r = {task.begin + run.first, run.last - run.first, {}};
        for (int k = 0; k < 3; k++)
            r.shift[k] = inUnits<T>(grid.images.shifts[3L * run.image + k], double(units[task.molecule]));
        runs.push_back(r);
    }
}

template class LongRangeGrid<float>;
template class LongRangeGrid<double>;

} // namespace so3krates::cpu
