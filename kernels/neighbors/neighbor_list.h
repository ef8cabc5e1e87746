#pragma once
// The half list of the pairs inside the model's cutoff, by cells, for one or several molecules, each in its own box or
// none. Every image inside the cutoff is listed, self images included, so boxes may be smaller than twice the cutoff.
// The list does not depend on the number of threads.

#include <array>
#include <vector>

#include "neighbors/cell_grid.h"
#include "potential.h"

namespace so3krates {

class CoincidentAtoms : public InputError {
public:
    CoincidentAtoms(int i, int j, bool images);
    int i, j;    // counted from 0
    bool images; // j as a periodic image
};

class NeighborLists {
public:
    // Lists pairs with d < cutoff (Å). Positions must be finite; throws CoincidentAtoms if two are closer than 1e-4 Å.
    void build(const System &system, const std::vector<Box> &boxes, double cutoff, ThreadTeam &team);

    std::vector<double> positions;         // [N][3] wrapped into the boxes
    std::vector<std::array<int, 3>> wraps; // [N] box vectors added to get there
    // Half list, sorted by i, then j, then image: r_ij = positions[j] + shift(molecule, image) - positions[i].
    // i < j, or i = j with an image after the one at rest.
    std::vector<int> pairI, pairJ, pairImage;
    std::vector<int> pairStart; // [N+1] first pair with atom i
    const double *shift(int molecule, int image) const { return grids[molecule].images.shifts.data() + 3L * image; }
    void imageVector(int molecule, int image, int vector[3]) const { grids[molecule].images.vector(image, vector); }

private:
    struct ShortPair {
        int j, image;
    };
    struct Piece {                 // what one task finds
        int molecule, first, last; // places in the grid's order
        std::vector<int> count;
        std::vector<ShortPair> pairs;
    };
    void search(const CellGrid &grid, Piece &piece, double cutoff) const;
    std::vector<CellGrid> grids; // [molecules]
    std::vector<Piece> pieces;
};

} // namespace so3krates
