#include "neighbors/neighbor_list.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "threads/parallel.h"

namespace so3krates {

namespace {

constexpr int atomsPerPiece = 32;
constexpr double coincident = 1e-4; // Å

struct CellIndex {
    int x[3];
    bool operator==(const CellIndex &o) const { return x[0] == o.x[0] && x[1] == o.x[1] && x[2] == o.x[2]; }
};

// From cell coordinates to a running number; only occupied cells exist, so empty space costs nothing.
class CellTable {
public:
    void reset(int atoms) {
        size_t size = 16;
        while (size < 2 * size_t(atoms))
            size *= 2;
        slots.assign(size, -1);
        cells.clear();
    }
    int find(const CellIndex &cell) const {
        for (size_t k = hash(cell);; k = (k + 1) & (slots.size() - 1))
            if (slots[k] < 0 || cells[slots[k]] == cell)
                return slots[k];
    }
    int findOrAdd(const CellIndex &cell) {
        for (size_t k = hash(cell);; k = (k + 1) & (slots.size() - 1)) {
            if (slots[k] < 0) {
                slots[k] = int(cells.size());
                cells.push_back(cell);
            }
            if (cells[slots[k]] == cell)
                return slots[k];
        }
    }
    std::vector<CellIndex> cells;

private:
    size_t hash(const CellIndex &c) const {
        uint64_t h = uint64_t(uint32_t(c.x[0])) * 0x9E3779B97F4A7C15ull;
        h = (h ^ uint32_t(c.x[1])) * 0xC2B2AE3D27D4EB4Full;
        h = (h ^ uint32_t(c.x[2])) * 0x165667B19E3779F9ull;
        return (h ^ (h >> 29)) & (slots.size() - 1);
    }
    std::vector<int> slots;
};

} // namespace

// One molecule's atoms sorted into cells.
struct NeighborLists::Grid {
    bool periodic = false;
    int begin = 0, end = 0;   // the molecule's atoms
    int count[3] = {1, 1, 1}; // cells along each box vector, if periodic
    int reach[3] = {1, 1, 1}; // how many cells away a neighbor can be
    CellTable table;
    std::vector<int> cellOf, start, order; // cell of each atom; atoms sorted by cell
    std::vector<double> sorted;            // [3][atoms] positions in that order
};

CoincidentAtoms::CoincidentAtoms(int i, int j, bool images)
    : InputError("atoms " + std::to_string(std::min(i, j)) + " and " + std::to_string(std::max(i, j)) +
                 " (counted from 0) are at the same place" + (images ? " as one another's periodic image" : "") +
                 ": their repulsion is infinite. Move one of them"),
      i(i), j(j), images(images) {}

NeighborLists::NeighborLists() = default;
NeighborLists::~NeighborLists() = default;

void NeighborLists::build(const System &system, const std::vector<Box> &boxes, double shortCutoff, double longCutoff,
                          ThreadTeam &team) {
    const int numAtoms = system.numAtoms, numMolecules = system.numMolecules;
    allLongRange = std::isinf(longCutoff);
    const bool listLongRange = longCutoff > 0 && !allLongRange;
    const double cutoff = listLongRange ? std::max(shortCutoff, longCutoff) : shortCutoff;
    // Half-sized cells fit a long cutoff's sphere better: fewer distances to look at.
    const double size = cutoff > 8 ? cutoff / 2 : cutoff;

    positions.assign(system.positions, system.positions + 3L * numAtoms);
    wraps.assign(numAtoms, {0, 0, 0});
    images.resize(numMolecules);
    grids.resize(numMolecules);
    parallelFor(team, numMolecules, [&](int m, int) {
        Grid &g = grids[m];
        const Box &box = boxes[m];
        g.begin = system.offsets ? system.offsets[m] : 0;
        g.end = system.offsets ? system.offsets[m + 1] : numAtoms;
        g.periodic = box.periodic;
        const int n = g.end - g.begin;
        double low[3] = {0, 0, 0};
        int range[3] = {0, 0, 0};
        if (box.periodic) {
            for (int i = g.begin; i < g.end; i++)
                box.wrap(&positions[3L * i], wraps[i].data());
            for (int k = 0; k < 3; k++) {
                g.count[k] = std::max(1, int(std::min(box.heights[k] / size, 1e6)));
                g.reach[k] = int(std::min(std::ceil(cutoff / (box.heights[k] / g.count[k]) - 1e-12), 1e7));
                range[k] = (g.reach[k] + g.count[k] - 1) / g.count[k];
            }
        } else {
            for (int k = 0; k < 3; k++) {
                low[k] = INFINITY;
                for (int i = g.begin; i < g.end; i++)
                    low[k] = std::min(low[k], positions[3L * i + k]);
                g.reach[k] = int(std::ceil(cutoff / size));
            }
        }
        images[m].set(box, range);
        g.table.reset(n);
        g.cellOf.resize(n);
        for (int a = 0; a < n; a++) {
            const double *x = &positions[3L * (g.begin + a)];
            CellIndex cell;
            for (int k = 0; k < 3; k++) {
                if (box.periodic) {
                    double f = x[0] * box.inverse[0][k] + x[1] * box.inverse[1][k] + x[2] * box.inverse[2][k];
                    cell.x[k] = std::min(std::max(int(std::floor(f * g.count[k])), 0), g.count[k] - 1);
                } else {
                    cell.x[k] = int((x[k] - low[k]) / size);
                }
            }
            g.cellOf[a] = g.table.findOrAdd(cell);
        }
        const int cells = int(g.table.cells.size());
        g.start.assign(cells + 1, 0);
        for (int a = 0; a < n; a++)
            g.start[g.cellOf[a] + 1]++;
        for (int c = 0; c < cells; c++)
            g.start[c + 1] += g.start[c];
        g.order.resize(n);
        g.sorted.resize(3L * n);
        std::vector<int> next(g.start.begin(), g.start.end() - 1);
        for (int a = 0; a < n; a++) {
            const int place = next[g.cellOf[a]]++;
            g.order[place] = g.begin + a;
            for (int k = 0; k < 3; k++)
                g.sorted[size_t(k) * n + place] = positions[3L * (g.begin + a) + k];
        }
    });

    numPieces = 0;
    for (int m = 0; m < numMolecules; m++)
        for (int first = 0; first < grids[m].end - grids[m].begin; first += atomsPerPiece) {
            if (int(shortPieces.size()) == numPieces) {
                shortPieces.emplace_back();
                pieces.emplace_back();
            }
            Piece &piece = shortPieces[numPieces++];
            piece.molecule = m;
            piece.first = first;
            piece.last = std::min(first + atomsPerPiece, grids[m].end - grids[m].begin);
        }
    parallelFor(team, numPieces, [&](int p, int) {
        search(grids[shortPieces[p].molecule], shortPieces[p], longCutoff > 0 ? &pieces[p] : nullptr, shortCutoff,
               listLongRange ? longCutoff : 0);
    });

    pairStart.assign(numAtoms + 1, 0);
    for (int p = 0; p < numPieces; p++)
        for (int a = shortPieces[p].first; a < shortPieces[p].last; a++)
            pairStart[grids[shortPieces[p].molecule].order[a] + 1] = shortPieces[p].count[a - shortPieces[p].first];
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
        const Piece &piece = shortPieces[p];
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

void NeighborLists::search(const Grid &grid, Piece &piece, LongRangePiece *longRange, double shortCutoff,
                           double longCutoff) {
    const int n = grid.end - grid.begin;
    const double *x = grid.sorted.data(), *y = x + n, *z = y + n;
    const double shortSquare = shortCutoff * shortCutoff, longSquare = longCutoff * longCutoff;
    const double largestSquare = std::max(shortSquare, longSquare);
    const Images &image = images[piece.molecule];
    const int atRest = image.index(0, 0, 0);
    struct Target {
        int first, last, image;
    };
    std::vector<Target> targets;
    int targetsOf = -1;          // the cell they belong to
    std::vector<double> squares; // of the distances to a cell's atoms
    std::vector<int> found;
    piece.count.assign(piece.last - piece.first, 0);
    piece.pairs.clear();
    if (longRange) {
        longRange->molecule = piece.molecule;
        longRange->atoms.clear();
        longRange->start.assign(1, 0);
        longRange->neighbors.clear();
        longRange->images.clear();
    }
    for (int a = piece.first; a < piece.last; a++) {
        const int i = grid.order[a], cell = grid.cellOf[i - grid.begin];
        if (cell != targetsOf) {
            targetsOf = cell;
            targets.clear();
            const CellIndex center = grid.table.cells[cell];
            for (int dx = -grid.reach[0]; dx <= grid.reach[0]; dx++)
                for (int dy = -grid.reach[1]; dy <= grid.reach[1]; dy++)
                    for (int dz = -grid.reach[2]; dz <= grid.reach[2]; dz++) {
                        const int offset[3] = {dx, dy, dz};
                        CellIndex other;
                        int box[3] = {0, 0, 0};
                        for (int k = 0; k < 3; k++) {
                            other.x[k] = center.x[k] + offset[k];
                            if (grid.periodic) {
                                box[k] = int(std::floor(double(other.x[k]) / grid.count[k]));
                                other.x[k] -= box[k] * grid.count[k];
                            }
                        }
                        const int found = grid.table.find(other);
                        if (found >= 0)
                            targets.push_back(
                                {grid.start[found], grid.start[found + 1], image.index(box[0], box[1], box[2])});
                    }
        }
        const size_t firstPair = piece.pairs.size();
        for (const Target &target : targets) {
            const double *shift = image.shifts.data() + 3L * target.image;
            const double cx = x[a] - shift[0], cy = y[a] - shift[1], cz = z[a] - shift[2];
            const int candidates = target.last - target.first;
            if (int(squares.size()) < candidates) {
                squares.resize(candidates);
                found.resize(candidates);
            }
            const double *xs = x + target.first, *ys = y + target.first, *zs = z + target.first;
            for (int b = 0; b < candidates; b++) {
                const double rx = xs[b] - cx, ry = ys[b] - cy, rz = zs[b] - cz;
                squares[b] = rx * rx + ry * ry + rz * rz;
            }
            // Without branches: which candidates are near cannot be predicted.
            int near = 0;
            for (int b = 0; b < candidates; b++) {
                found[near] = b;
                near += squares[b] < largestSquare;
            }
            if (target.image == atRest && a >= target.first && a < target.last) { // not itself
                near = int(std::remove(found.data(), found.data() + near, a - target.first) - found.data());
            }
            int close = 0;
            for (int k = 0; k < near; k++)
                close += squares[found[k]] < shortSquare;
            if (close)
                for (int k = 0; k < near; k++) {
                    if (squares[found[k]] >= shortSquare)
                        continue;
                    const int j = grid.order[target.first + found[k]];
                    if (squares[found[k]] < coincident * coincident)
                        throw CoincidentAtoms(i, j, target.image != atRest);
                    if (j > i || (j == i && target.image > atRest))
                        piece.pairs.push_back({j, target.image});
                }
            if (longCutoff > 0) {
                const size_t first = longRange->neighbors.size();
                longRange->neighbors.resize(first + near);
                int *out = longRange->neighbors.data() + first;
                int far = 0;
                for (int k = 0; k < near; k++) {
                    out[far] = grid.order[target.first + found[k]];
                    far += squares[found[k]] < longSquare;
                }
                longRange->neighbors.resize(first + far);
                if (grid.periodic)
                    longRange->images.resize(first + far, target.image);
            }
        }
        std::sort(piece.pairs.begin() + firstPair, piece.pairs.end(),
                  [](const ShortPair &p, const ShortPair &q) { return p.j != q.j ? p.j < q.j : p.image < q.image; });
        piece.count[a - piece.first] = int(piece.pairs.size() - firstPair);
        if (longRange) {
            longRange->atoms.push_back(i);
            longRange->start.push_back(longRange->neighbors.size());
        }
    }
}

} // namespace so3krates
