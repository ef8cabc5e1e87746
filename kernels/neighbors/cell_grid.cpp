#include "neighbors/cell_grid.h"

#include <algorithm>
#include <cmath>

namespace so3krates {

namespace {

constexpr int bits = 21; // of a cell's place along one axis; three of them fill a key
constexpr int mostCells = 1 << (bits - 1);

// Running numbers of the occupied cells; empty space costs nothing.
class CellNumbers {
public:
    explicit CellNumbers(int atoms) {
        size_t size = 16;
        while (size < 2 * size_t(atoms))
            size *= 2;
        slots.assign(size, -1);
    }
    int findOrAdd(uint64_t key) {
        uint64_t hash = key * 0x9E3779B97F4A7C15ull;
        for (size_t k = (hash ^ (hash >> 29)) & (slots.size() - 1);; k = (k + 1) & (slots.size() - 1)) {
            if (slots[k] < 0) {
                slots[k] = int(keys.size());
                keys.push_back(key);
            }
            if (keys[slots[k]] == key)
                return slots[k];
        }
    }
    std::vector<uint64_t> keys;

private:
    std::vector<int> slots;
};

int floorDivision(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

} // namespace

uint64_t CellGrid::key(const int place[3]) const {
    return uint64_t(place[0]) << 2 * bits | uint64_t(place[1]) << bits | uint64_t(place[2]);
}

void CellGrid::build(const Box &box, const double *positions, int begin, int end, double cutoff) {
    // Half-sized cells fit a long cutoff's sphere better: fewer distances to look at.
    double size = cutoff > 8 ? cutoff / 2 : cutoff;
    const int n = end - begin;
    periodic = box.periodic;
    double low[3] = {0, 0, 0};
    int range[3] = {0, 0, 0};
    if (periodic) {
        double along[3] = {0, 0, 0};
        for (int k = 0; k < 3; k++) {
            count[k] = std::max(1, int(std::min(box.heights[k] / size, double(mostCells))));
            reach[k] = int(std::min(std::ceil(cutoff / (box.heights[k] / count[k]) - 1e-12), 1e7));
            range[k] = (reach[k] + count[k] - 1) / count[k];
            for (int x = 0; x < 3; x++)
                along[x] += std::abs(box.vectors[k][x]) / count[k] * (reach[k] + 1);
        }
        reachLength = std::max({along[0], along[1], along[2]});
    } else {
        double extent = 1;
        for (int k = 0; k < 3; k++) {
            double high = -INFINITY;
            low[k] = INFINITY;
            for (int i = begin; i < end; i++) {
                low[k] = std::min(low[k], positions[3L * i + k]);
                high = std::max(high, positions[3L * i + k]);
            }
            extent = std::max(extent, high - low[k]);
        }
        size = std::max(size, extent / (mostCells - 1));
        for (int &cells : reach)
            cells = int(std::ceil(cutoff / size));
        reachLength = std::min(size * (reach[0] + 1), extent);
    }
    images.set(box, range);

    std::vector<int> numbers(n);
    CellNumbers cells(n);
    for (int a = 0; a < n; a++) {
        const double *x = positions + 3L * (begin + a);
        int place[3];
        for (int k = 0; k < 3; k++) {
            if (periodic) {
                const double f = x[0] * box.inverse[0][k] + x[1] * box.inverse[1][k] + x[2] * box.inverse[2][k];
                place[k] = std::min(std::max(int(std::floor(f * count[k])), 0), count[k] - 1);
            } else {
                place[k] = int((x[k] - low[k]) / size);
            }
        }
        numbers[a] = cells.findOrAdd(key(place));
    }
    const int numCells = int(cells.keys.size());
    std::vector<int> byKey(numCells), rank(numCells);
    for (int c = 0; c < numCells; c++)
        byKey[c] = c;
    std::sort(byKey.begin(), byKey.end(), [&](int a, int b) { return cells.keys[a] < cells.keys[b]; });
    keys.resize(numCells);
    for (int c = 0; c < numCells; c++) {
        keys[c] = cells.keys[byKey[c]];
        rank[byKey[c]] = c;
    }
    start.assign(numCells + 1, 0);
    for (int &number : numbers) {
        number = rank[number];
        start[number + 1]++;
    }
    for (int c = 0; c < numCells; c++)
        start[c + 1] += start[c];
    order.resize(n);
    cell.resize(n);
    sorted.resize(3L * n);
    std::vector<int> next(start.begin(), start.end() - 1);
    for (int a = 0; a < n; a++) {
        const int place = next[numbers[a]]++;
        order[place] = begin + a;
        cell[place] = numbers[a];
        for (int k = 0; k < 3; k++)
            sorted[size_t(k) * n + place] = positions[3L * (begin + a) + k];
    }
}

void CellGrid::runsAround(int cell, std::vector<Run> &runs) const {
    constexpr uint64_t mask = (uint64_t(1) << bits) - 1;
    const int center[3] = {int(keys[cell] >> 2 * bits), int(keys[cell] >> bits & mask), int(keys[cell] & mask)};
    // The image a cell belongs to along an axis, and its place there.
    const auto imageOf = [&](int k, int place) { return periodic ? floorDivision(place, count[k]) : 0; };
    const auto inside = [&](int k, int place, int image) { return periodic ? place - image * count[k] : place; };
    int image[3], first[3], last[3];
    for (int x = center[0] - reach[0]; x <= center[0] + reach[0]; x++) {
        image[0] = imageOf(0, x);
        first[0] = last[0] = inside(0, x, image[0]);
        for (int y = center[1] - reach[1]; y <= center[1] + reach[1]; y++) {
            image[1] = imageOf(1, y);
            first[1] = last[1] = inside(1, y, image[1]);
            if (first[0] < 0 || first[1] < 0)
                continue;
            const int top = center[2] + reach[2];
            for (int z = center[2] - reach[2], end; z <= top; z = end + 1) {
                image[2] = imageOf(2, z);
                end = periodic ? std::min(top, (image[2] + 1) * count[2] - 1) : top;
                first[2] = std::max(inside(2, z, image[2]), 0);
                last[2] = inside(2, end, image[2]);
                const auto from = std::lower_bound(keys.begin(), keys.end(), key(first));
                const auto to = std::upper_bound(from, keys.end(), key(last));
                if (from != to)
                    runs.push_back({start[from - keys.begin()], start[to - keys.begin()],
                                    images.index(image[0], image[1], image[2])});
            }
        }
    }
}

} // namespace so3krates
