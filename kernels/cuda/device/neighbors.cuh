// Neighbor lists of independent molecules, each in its own box or none; every image inside the cutoff is an entry,
// images of the atom itself included. A build is a row of launches without the host in between:
//   so3kTakeBoxes      neighbor_boxes.cuh, where boxes come from device memory
//   so3kWrapAtoms      wraps, and decides whether the candidates are still good
//   so3kCountCells ... neighbors_cells.cuh, molecules with many atoms only; return at once if they are still good
//   so3kListNeighbors  candidates, pairs closer than cutoff + skin, unless they are still good; those inside the
//                      cutoffs: the lists
// The lists depend on positions and boxes alone, not on when the candidates were made: wraps are those of the step,
// rows are in one order, and a distance is taken in one way, which gives both directions of a pair the same.
#pragma once

#include "cuda/device/neighbor_arguments.h"
#include "cuda/device/neighbor_boxes.cuh"
#include "cuda/device/neighbors_cells.cuh"

namespace so3krates {
namespace cuda {

// Sum over the lower lanes of the warp; total: over all.
__device__ inline int lowerLanesSum(int value, int lane, int &total) {
    int sum = value;
    for (int distance = 1; distance < 32; distance *= 2) {
        const int other = __shfl_up_sync(0xffffffffu, sum, distance);
        if (lane >= distance)
            sum += other;
    }
    total = __shfl_sync(0xffffffffu, sum, 31);
    return sum - value;
}

// Candidates of receiver i that are images of atom j, sorted.
__device__ inline int visitImages(const ListArguments &a, const SearchBox &box, int i, int j, RowWriter out) {
    double r[3];
    for (int k = 0; k < 3; k++)
        r[k] = a.atoms.wrapped[3LL * j + k] - a.atoms.wrapped[3LL * i + k];
    if (!box.periodic) {
        if (i != j && isCandidate(a, box, r, 0, 0, 0))
            out.add(j, packImage(0, 0, 0));
        return out.count;
    }
    // Along the normal of two faces an image's distance is |fraction + n| times theirs.
    int first[3], last[3];
    for (int k = 0; k < 3; k++) {
        const double fraction = r[0] * box.inverse[0][k] + r[1] * box.inverse[1][k] + r[2] * box.inverse[2][k];
        first[k] = int(ceil(-fraction - box.reach[k] - 1e-6));
        last[k] = int(floor(-fraction + box.reach[k] + 1e-6));
    }
    for (int n0 = first[0]; n0 <= last[0]; n0++)
        for (int n1 = first[1]; n1 <= last[1]; n1++)
            for (int n2 = first[2]; n2 <= last[2]; n2++)
                if ((i != j || n0 != 0 || n1 != 0 || n2 != 0) && isCandidate(a, box, r, n0, n1, n2))
                    out.add(j, packImage(n0, n1, n2));
    return out.count;
}

// Positions inside the boxes. One thread per atom; 120 bytes of traffic each. An atom with an unusable position is
// reported and put at the origin, so that everything after ends.
extern "C" __global__ void __launch_bounds__(1024) so3kWrapAtoms(ListArguments a) {
    if (a.clears) {
        if (threadIdx.x == 0) {
            ListStatus &s = *a.status;
            s.rebuilt = s.candidatesNeeded = s.edgesNeeded = s.farNeeded = s.badAtom = s.badBox = 0;
            s.coincident = 0;
        }
        __syncthreads();
    }
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= a.atoms.numAtoms)
        return;
    const double *position = a.atoms.positions + 3LL * i;
    double wrapped[3], moved = 0;
    int wraps[3] = {0, 0, 0};
    bool usable = true;
    for (int k = 0; k < 3; k++) {
        wrapped[k] = position[k];
        usable = usable && fabs(wrapped[k]) < 1e8; // false for NaN
        const double difference = position[k] - a.candidates.positions[3LL * i + k];
        moved += difference * difference;
    }
    if (!usable) {
        atomicMax(&a.status->badAtom, a.atoms.numAtoms - i);
        wrapped[0] = wrapped[1] = wrapped[2] = 0;
    }
    const SearchBox &box = a.boxes[a.atoms.molecule[i]];
    if (box.periodic && usable) {
        for (int k = 0; k < 3; k++)
            wraps[k] = -int(floor(position[0] * box.inverse[0][k] + position[1] * box.inverse[1][k] +
                                  position[2] * box.inverse[2][k]));
        for (int k = 0; k < 3; k++)
            wrapped[k] += wraps[0] * box.vectors[0][k] + wraps[1] * box.vectors[1][k] + wraps[2] * box.vectors[2][k];
    }
    for (int k = 0; k < 3; k++) {
        a.atoms.wrapped[3LL * i + k] = wrapped[k];
        a.wraps[3LL * i + k] = wraps[k];
    }
    if (*a.stale || a.candidates.count[i] > a.candidates.capacity || !(moved <= a.largestMoveSquared))
        atomicOr(&a.status->rebuilt, 1);
}

// Candidates of receiver i, by a warp: its lanes look at one sender or one cell each, count, and write from where the
// lower lanes end. Reads 24 bytes per pair looked at, twice.
__device__ inline void findCandidates(const ListArguments &a, const SearchBox &box, int molecule, int i, int lane) {
    const int begin = box.useCells ? 0 : a.atoms.offsets[molecule];
    const int end = box.useCells ? numNeighborCells(box) : a.atoms.offsets[molecule + 1];
    const long long row = (long long)i * a.candidates.capacity;
    RowWriter out;
    out.senders = (box.useCells ? a.candidates.unsortedSenders : a.candidates.senders) + row;
    out.images = (box.useCells ? a.candidates.unsortedImages : a.candidates.images) + row;
    int count = 0;
    for (int base = begin; base < end; base += 32) {
        const int item = base + lane;
        out.count = 0;
        out.first = out.end = 0; // counts only
        int found = 0, total;
        if (item < end)
            found = box.useCells ? visitCell(a, box, i, item, out) : visitImages(a, box, i, item, out);
        out.first = count + lowerLanesSum(found, lane, total);
        out.end = a.candidates.capacity;
        if (found)
            box.useCells ? visitCell(a, box, i, item, out) : visitImages(a, box, i, item, out);
        count += total;
    }
    if (lane < 3) {
        a.candidates.positions[3LL * i + lane] = a.atoms.positions[3LL * i + lane];
        a.candidates.wraps[3LL * i + lane] = a.wraps[3LL * i + lane];
    }
    if (lane == 0) {
        if (count > a.reportedCandidates)
            atomicMax(&a.status->candidatesNeeded, count);
        a.candidates.count[i] = count;
    }
    __syncwarp();
}

// Sorts the row of a molecule with cells by sender, then image: an entry's place is the number of smaller ones. By a
// warp; reads a row of n entries n/32 times from the cache.
__device__ inline void sortCandidates(const ListArguments &a, int i, int lane) {
    const long long row = (long long)i * a.candidates.capacity;
    const int *senders = a.candidates.unsortedSenders + row, *images = a.candidates.unsortedImages + row;
    const int count = min(a.candidates.count[i], a.candidates.capacity);
    for (int e = lane; e < count; e += 32) {
        int place = 0;
        for (int other = 0; other < count; other++)
            place += senders[other] < senders[e] || (senders[other] == senders[e] && images[other] < images[e]);
        a.candidates.senders[row + place] = senders[e];
        a.candidates.images[row + place] = images[e];
    }
    __syncwarp();
}

// One of the two lists that a receiver's candidates are divided into.
__device__ inline void appendNeighbors(const NeighborMatrix &list, int i, bool inside, int lane, int sender, int image,
                                       int &count) {
    const unsigned mask = __ballot_sync(0xffffffffu, inside);
    const int place = count + __popc(mask & ((1u << lane) - 1));
    if (inside && place < list.capacity) {
        list.senders[(long long)i * list.capacity + place] = sender;
        list.images[(long long)i * list.capacity + place] = image;
    }
    count += __popc(mask);
}

__device__ inline void finishRow(const NeighborMatrix &list, int i, int count, int reported, int *needed) {
    if (count > reported)
        atomicMax(needed, count);
    list.count[i] = min(count, list.capacity);
}

// The lists: candidates, made anew if need be, inside the cutoffs. A warp per receiver, lanes over its candidates;
// reads 32 bytes and writes up to 16 bytes per candidate.
extern "C" __global__ void so3kListNeighbors(ListArguments a) {
    const int lane = threadIdx.x % 32, i = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (i >= a.atoms.numAtoms)
        return;
    if (i == 0 && lane == 0) {
        *a.stale = 0;
        a.status->nonFiniteEnergy = a.status->nonFiniteNow;
        a.status->nonFiniteNow = 0;
        a.status->builds++;
    }
    const int molecule = a.atoms.molecule[i];
    const SearchBox &box = a.boxes[molecule];
    const int *wraps = a.candidates.wraps;
    if (a.status->rebuilt) {
        wraps = a.wraps; // those of the candidates are being written, by other warps, too
        findCandidates(a, box, molecule, i, lane);
        if (box.useCells)
            sortCandidates(a, i, lane);
    }
    const double *shifts = a.atoms.shifts + 3LL * box.firstImage;
    const long long row = (long long)i * a.candidates.capacity;
    const int numCandidates = min(a.candidates.count[i], a.candidates.capacity);
    int numEdges = 0, numFar = 0;
    for (int base = 0; base < numCandidates; base += 32) {
        bool isEdge = false, isFar = false;
        int sender = 0, image = 0;
        if (base + lane < numCandidates) {
            sender = a.candidates.senders[row + base + lane];
            image = imageOfStep(a, box, wraps, i, sender, a.candidates.images[row + base + lane]);
            double square = 0;
            for (int k = 0; k < 3 && image >= 0; k++) {
                const double r =
                    (a.atoms.wrapped[3LL * sender + k] - a.atoms.wrapped[3LL * i + k]) + shifts[3LL * image + k];
                square += r * r;
            }
            isEdge = image >= 0 && square < a.shortCutoff * a.shortCutoff;
            isFar = image >= 0 && square < a.farCutoff * a.farCutoff;
            if (image >= 0 && square < 1e-8) // Å²: at the same place
                atomicMax(&a.status->coincident, ~((unsigned long long)i << 32 | (unsigned long long)sender));
        }
        appendNeighbors(a.edges, i, isEdge, lane, sender, image, numEdges);
        if (a.far.count)
            appendNeighbors(a.far, i, isFar, lane, sender, image, numFar);
    }
    if (lane == 0) {
        finishRow(a.edges, i, numEdges, a.reportedEdges, &a.status->edgesNeeded);
        if (a.far.count)
            finishRow(a.far, i, numFar, a.reportedFar, &a.status->farNeeded);
    }
}

} // namespace cuda
} // namespace so3krates
