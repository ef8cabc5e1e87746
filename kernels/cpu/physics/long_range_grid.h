#pragma once
// The atoms of the long-range terms, sorted into cells: who may be inside the cutoff of whom. Pairs are not listed, the
// kernel (long_range.h) picks them from the runs of candidates step by step: a list would be hundreds of entries per
// atom.

#include <vector>

#include "cpu/physics/long_range_terms.h"
#include "neighbors/cell_grid.h"
#include "potential.h"

namespace so3krates::cpu {

template <class T> class LongRangeGrid {
public:
    // positions: wrapped into the boxes, Å. cutoff: Å; infinite: all atoms of a molecule see one another.
    void build(const System &system, const std::vector<Box> &boxes, const double *positions, double cutoff,
               ThreadTeam &team);
    // Sets the coordinates of the terms.
    void setCoordinates(LongRangeTerms<T> &terms) const;

    // work(place, neighbors) for the places of one task.
    template <class Work> void forEach(int task, const Work &work) const {
        const Task &t = tasks[task];
        std::vector<LongRangeRun<T>> runs;
        int runsOf = -1; // the cell they belong to
        for (int place = t.first; place < t.last; place++) {
            if (allPairs)
                runs = {{t.begin, place - t.begin, {}}, {place + 1, t.end - place - 1, {}}};
            else
                runsAround(t, place, runs, runsOf);
            work(place, LongRangeNeighbors<T>{runs.data(), int(runs.size()), units[t.molecule]});
        }
    }
    int numTasks() const { return int(tasks.size()); }
    int atomAt(int place) const { return atoms[place]; }

private:
    using Coordinate = typename LongRangeCoordinate<T>::Type;
    struct Task {
        int molecule, begin, end; // the molecule's atoms
        int first, last;          // places
    };
    void runsAround(const Task &task, int place, std::vector<LongRangeRun<T>> &runs, int &runsOf) const;
    bool allPairs = false;
    std::vector<CellGrid> grids;         // [molecules]
    std::vector<T> units;                // [molecules] Å
    std::vector<int> atoms;              // [places]
    std::vector<Coordinate> coordinates; // [3][places + slack]
    std::vector<double> positions;       // [3][places], if all atoms see one another
    std::vector<Task> tasks;
};

} // namespace so3krates::cpu
