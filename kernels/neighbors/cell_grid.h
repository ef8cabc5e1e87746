#pragma once
// The atoms of one molecule sorted into cells, so that all atoms within a cutoff of a cell lie in a few runs.

#include <cstdint>
#include <vector>

#include "neighbors/box.h"

namespace so3krates {

class CellGrid {
public:
    // positions: of all atoms, Å, finite, wrapped into the box; those of [begin, end) are sorted. cutoff: Å, finite.
    // Throws InputError if the cutoff spans too many images of the box.
    void build(const Box &box, const double *positions, int begin, int end, double cutoff);

    // Places [first, last) of the sorted atoms, seen through one image of the box.
    struct Run {
        int first, last, image;
    };
    // Appends the runs that hold every atom within the cutoff of any place in the cell, itself included. Each image of
    // an atom is in one run at most.
    void runsAround(int cell, std::vector<Run> &runs) const;

    int size() const { return int(order.size()); }
    std::vector<int> order;     // [n] atoms in the order of their cells
    std::vector<int> cell;      // [n] the cell of each place in that order
    std::vector<double> sorted; // [3][n] positions in that order
    Images images;
    double reachLength = 0; // Å: no atom of runsAround is farther from the cell's atoms than this, along any axis

private:
    uint64_t key(const int place[3]) const;
    bool periodic = false;
    int count[3] = {1, 1, 1};   // cells along each box vector, if periodic
    int reach[3] = {1, 1, 1};   // how many cells away a neighbor can be
    std::vector<uint64_t> keys; // [cells] of the occupied cells, rising; cells along the last axis follow one another
    std::vector<int> start;     // [cells+1]
};

} // namespace so3krates
