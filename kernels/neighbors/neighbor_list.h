#pragma once
// Neighbor lists by cells, for one or several molecules, each in its own box or none. Every image inside the cutoff is
// listed, self images included, so boxes may be smaller than twice the cutoff. Lists do not depend on the number of
// threads.

#include <array>
#include <vector>

#include "neighbors/box.h"
#include "potential.h"

namespace so3krates {

// A piece of the long-range list: some atoms of one molecule with all their neighbors, in the order of the cells.
struct LongRangePiece {
    int molecule = 0;
    std::vector<int> atoms;
    std::vector<size_t> start;          // [atoms+1]
    std::vector<int> neighbors, images; // images empty if the molecule is not periodic
};

class CoincidentAtoms : public InputError {
public:
    CoincidentAtoms(int i, int j, bool images);
    int i, j;    // counted from 0
    bool images; // j as a periodic image
};

class NeighborLists {
public:
    NeighborLists();
    ~NeighborLists();
    // shortCutoff: pairs with d < shortCutoff go into the half list. longCutoff: directed neighbors with d < longCutoff
    // go into the pieces; 0: no pieces. Cutoffs in Å, longCutoff may be infinite (molecules without box only): then the
    // pieces name their atoms but list no neighbors, since these are all atoms of the molecule.
    // Positions must be finite; throws CoincidentAtoms if two are closer than 1e-4 Å.
    void build(const System &system, const std::vector<Box> &boxes, double shortCutoff, double longCutoff,
               ThreadTeam &team);

    std::vector<double> positions;         // [N][3] wrapped into the boxes
    std::vector<std::array<int, 3>> wraps; // [N] box vectors added to get there
    std::vector<Images> images;            // [molecules]
    // Half list, sorted by i, then j, then image: r_ij = positions[j] + images.shifts[image] - positions[i].
    // i < j, or i = j with an image after the one at rest.
    std::vector<int> pairI, pairJ, pairImage;
    std::vector<int> pairStart;         // [N+1] first pair with atom i
    std::vector<LongRangePiece> pieces; // the first numPieces are in use
    int numPieces = 0;
    bool allLongRange = false; // longCutoff was infinite
    const double *shift(int molecule, int image) const { return images[molecule].shifts.data() + 3L * image; }

private:
    struct Grid;
    struct ShortPair {
        int j, image;
    };
    struct Piece {                 // what one task finds of the half list
        int molecule, first, last; // atoms grid.order[first..last)
        std::vector<int> count;
        std::vector<ShortPair> pairs;
    };
    void search(const Grid &grid, Piece &piece, LongRangePiece *longRange, double shortCutoff, double longCutoff);
    std::vector<Grid> grids;
    std::vector<Piece> shortPieces;
};

} // namespace so3krates
