// What the neighbor list kernels get (neighbors.cuh, neighbors_cells.cuh). Å throughout. The same for host and device.
#pragma once

#include "cuda/device/arguments.h"

namespace so3krates {
namespace cuda {

// One molecule's box and search grid.
struct SearchBox {
    double vectors[3][3]; // rows
    double inverse[3][3]; // fractional = position * inverse
    double reach[3];      // largest candidate distance over the distance of opposite faces
    double cellSize;      // of the grid without a box
    int periodic;
    int range[3];     // images n with |n[k]| <= range[k] have a row in Atoms::shifts
    int useCells;     // 0: every pair of atoms is looked at
    int cells[3];     // along each box vector
    int cellReach[3]; // how many cells away a candidate can be
    int firstImage;   // as in Atoms
};

// What the device tells the host; zeroed before each build, up to nonFiniteEnergy.
struct ListStatus {
    int rebuilt;                                  // the candidates were made anew
    int candidatesNeeded, edgesNeeded, farNeeded; // the longest row that did not fit its capacity
    int badAtom;                                  // numAtoms - (first atom whose position is not usable)
    int badBox;                                   // 1: so3kTakeBoxes met a box that cannot be used
    unsigned long long coincident;                // ~(receiver << 32 | sender) of the first coincident pair
    int nonFiniteEnergy; // of the evaluation before this build: molecules - (first with an energy that is no number)
    int nonFiniteNow;    // the same of the present one
    int failed;          // 1: an evaluation that nobody watched has failed, and so do all such after it
    unsigned builds;     // so far, this one included; never zeroed: by it the host knows which build it is told of
};

// Pairs closer than the cutoff plus a skin, kept over several steps: [N][capacity], sorted by sender, then image. An
// image n is packed into one number (packImage) and belongs to the wraps of the step that made the candidates.
struct Candidates {
    int *count, *senders, *images;         // count: may be larger than the capacity, then the row is not all there
    int *unsortedSenders, *unsortedImages; // [N][capacity] rows of molecules with cells, before they are sorted
    double *positions;                     // [N][3] as given, when the candidates were made
    int *wraps;                            // [N][3] likewise
    int capacity;
    int unused; // as in NeighborMatrix
};

// Atoms by cell: atoms[starts[b] .. starts[b+1]) have their cell in bucket b, a hash of cell and molecule.
struct CellBuckets {
    int *cell;      // [N][3]
    int *starts;    // [buckets+1]; counts before the scan, which are zero before so3kCountCells
    int *cursor;    // [buckets] atoms placed so far, zero before
    int *atoms;     // [N]
    int numBuckets; // a power of two
    int unused;     // as in NeighborMatrix
};

struct ListArguments {
    Atoms atoms;
    const SearchBox *boxes; // [B]
    int *wraps;             // [N][3] wrapped = position + wraps * vectors
    Candidates candidates;
    CellBuckets buckets;
    NeighborMatrix edges, far; // far.count null: not wanted
    ListStatus *status;
    double shortCutoff, farCutoff, candidateCutoff;
    double largestMoveSquared; // candidates live until an atom has moved further; negative: for one build
    int *stale;                // 1: the candidates are to be made anew in any case; zeroed by that
    // Rows longer than this are reported to the host: the capacities, or less where there is to be headroom.
    int reportedCandidates, reportedEdges, reportedFar;
    int clears; // 1: so3kWrapAtoms, in one block, zeroes the status first
};

// so3kTakeBoxes
struct BoxArguments {
    const double *cells; // [B][3][3]
    SearchBox *boxes;    // [B]
    double *shifts;      // as in Atoms
    int *stale;          // as in ListArguments
    ListStatus *status;
    double candidateCutoff;
};

} // namespace cuda
} // namespace so3krates
