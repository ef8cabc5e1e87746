#include "neighbors/neighbor_list.h"

#include <algorithm>
#include <cstdint>

#include "threads/parallel.h"

namespace so3krates {

namespace {

constexpr int atomsPerPiece = 32;
constexpr double coincident = 1e-4; // Å

} // namespace

CoincidentAtoms::CoincidentAtoms(int i, int j, bool images)
    : InputError("atoms " + std::to_string(std::min(i, j)) + " and " + std::to_string(std::max(i, j)) +
                 " (counted from 0) are at the same place" + (images ? " as one another's periodic image" : "") +
                 ": their repulsion is infinite. Move one of them"),
      i(i), j(j), images(images) {}

void NeighborLists::build(const System &system, const std::vector<Box> &boxes, double cutoff, ThreadTeam &team) {
    const int numAtoms = system.numAtoms, numMolecules = system.numMolecules;
    positions.assign(system.positions, system.positions + 3L * numAtoms);
    wraps.assign(numAtoms, {0, 0, 0});
    grids.resize(numMolecules);
    parallelFor(team, numMolecules, [&](int m, int) {
        const int begin = system.offsets ? system.offsets[m] : 0,
                  end = system.offsets ? system.offsets[m + 1] : numAtoms;
        if (boxes[m].periodic)
            for (int i = begin; i < end; i++)
                boxes[m].wrap(&positions[3L * i], wraps[i].data());
        grids[m].build(boxes[m], positions.data(), begin, end, cutoff);
    });

    int numPieces = 0;
    for (int m = 0; m < numMolecules; m++)
        for (int first = 0; first < grids[m].size(); first += atomsPerPiece) {
            if (int(pieces.size()) == numPieces)
                pieces.emplace_back();
            Piece &piece = pieces[numPieces++];
            piece.molecule = m;
            piece.first = first;
            piece.last = std::min(first + atomsPerPiece, grids[m].size());
        }
    parallelFor(team, numPieces, [&](int p, int) { search(grids[pieces[p].molecule], pieces[p], cutoff); });

    pairStart.assign(numAtoms + 1, 0);
    for (int p = 0; p < numPieces; p++)
        for (int a = pieces[p].first; a < pieces[p].last; a++)
            pairStart[grids[pieces[p].molecule].order[a] + 1] = pieces[p].count[a - pieces[p].first];
    for (int i = 0; i < numAtoms; i++) {
        if (pairStart[i] > INT32_MAX / 2 - pairStart[i + 1])
            throw InputError("too many pairs of neighbors: more than 2^30. Split the system");
        pairStart[i + 1] += pairStart[i];
    }
    const int numPairs = pairStart[numAtoms];
    pairI.resize(numPairs);
    pairJ.resize(numPairs);
    pairImage.resize(numPairs);
    parallelFor(team, numPieces, [&](int p, int) {
        const Piece &piece = pieces[p];
        const ShortPair *pair = piece.pairs.data();
        for (int a = piece.first; a < piece.last; a++) {
            const int i = grids[piece.molecule].order[a];
            for (int k = pairStart[i]; k < pairStart[i + 1]; k++, pair++) {
                pairI[k] = i;
                pairJ[k] = pair->j;
                pairImage[k] = pair->image;
            }
        }
    });
}

void NeighborLists::search(const CellGrid &grid, Piece &piece, double cutoff) const {
    const int n = grid.size(), atRest = grid.images.index(0, 0, 0);
    const double *x = grid.sorted.data(), *y = x + n, *z = y + n;
    const double square = cutoff * cutoff;
    std::vector<CellGrid::Run> runs;
    int runsOf = -1;             // the cell they belong to
    std::vector<double> squares; // of the distances to a run's atoms
    std::vector<int> found;
    piece.count.assign(piece.last - piece.first, 0);
    piece.pairs.clear();
    for (int a = piece.first; a < piece.last; a++) {
        const int i = grid.order[a];
        if (grid.cell[a] != runsOf) {
            runsOf = grid.cell[a];
            runs.clear();
            grid.runsAround(runsOf, runs);
        }
        const size_t firstPair = piece.pairs.size();
        for (const CellGrid::Run &run : runs) {
            const double *shift = grid.images.shifts.data() + 3L * run.image;
            const double cx = x[a] - shift[0], cy = y[a] - shift[1], cz = z[a] - shift[2];
            const int candidates = run.last - run.first;
            if (int(squares.size()) < candidates) {
                squares.resize(candidates);
                found.resize(candidates);
            }
            const double *xs = x + run.first, *ys = y + run.first, *zs = z + run.first;
            for (int b = 0; b < candidates; b++) {
                const double rx = xs[b] - cx, ry = ys[b] - cy, rz = zs[b] - cz;
                squares[b] = rx * rx + ry * ry + rz * rz;
            }
            // Without branches: which candidates are near cannot be predicted.
            int near = 0;
            for (int b = 0; b < candidates; b++) {
                found[near] = b;
                near += squares[b] < square;
            }
            for (int k = 0; k < near; k++) {
                const int j = grid.order[run.first + found[k]];
                if (j == i && run.image == atRest)
                    continue;
                if (squares[found[k]] < coincident * coincident)
                    throw CoincidentAtoms(i, j, run.image != atRest);
                if (j > i || (j == i && run.image > atRest))
                    piece.pairs.push_back({j, run.image});
            }
        }
        std::sort(piece.pairs.begin() + firstPair, piece.pairs.end(),
                  [](const ShortPair &p, const ShortPair &q) { return p.j != q.j ? p.j < q.j : p.image < q.image; });
        piece.count[a - piece.first] = int(piece.pairs.size() - firstPair);
    }
}

} // namespace so3krates
