// Atoms sorted into cells, for molecules with many of them. Cells are found by a hash of their coordinates: empty space
// between clusters costs nothing, and a molecule without a box needs no bounding box.
#pragma once

#include "cuda/device/neighbor_row.cuh"

namespace so3krates {
namespace cuda {

__device__ inline int bucketOf(const CellBuckets &buckets, int molecule, const int cell[3]) {
    unsigned hash = unsigned(molecule) * 0x9E3779B1u;
    for (int k = 0; k < 3; k++) {
        hash = (hash ^ unsigned(cell[k])) * 0x85EBCA6Bu;
        hash ^= hash >> 15;
    }
    return int(hash & unsigned(buckets.numBuckets - 1));
}

__device__ inline int numNeighborCells(const SearchBox &box) {
    return (2 * box.cellReach[0] + 1) * (2 * box.cellReach[1] + 1) * (2 * box.cellReach[2] + 1);
}

// Candidates of receiver i in one of the cells around its own. A cell over the box's faces is one inside and an image.
__device__ inline int visitCell(const ListArguments &a, const SearchBox &box, int i, int neighborCell, RowWriter out) {
    const int molecule = a.atoms.molecule[i];
    int cell[3], image[3] = {0, 0, 0};
    for (int k = 2; k >= 0; k--) {
        const int width = 2 * box.cellReach[k] + 1;
        cell[k] = a.buckets.cell[3LL * i + k] + neighborCell % width - box.cellReach[k];
        neighborCell /= width;
        if (box.periodic) {
            image[k] = int(floor(double(cell[k]) / box.cells[k]));
            cell[k] -= image[k] * box.cells[k];
        }
    }
    const bool atRest = image[0] == 0 && image[1] == 0 && image[2] == 0;
    const int bucket = bucketOf(a.buckets, molecule, cell);
    for (int at = a.buckets.starts[bucket]; at < a.buckets.starts[bucket + 1]; at++) {
        const int j = a.buckets.atoms[at];
        const int *other = a.buckets.cell + 3LL * j;
        if (other[0] != cell[0] || other[1] != cell[1] || other[2] != cell[2] || a.atoms.molecule[j] != molecule ||
            (i == j && atRest))
            continue;
        double r[3];
        for (int k = 0; k < 3; k++)
            r[k] = a.atoms.wrapped[3LL * j + k] - a.atoms.wrapped[3LL * i + k];
        if (isCandidate(a, box, r, image[0], image[1], image[2]))
            out.add(j, packImage(image[0], image[1], image[2]));
    }
    return out.count;
}

// Every atom's cell, and how many atoms a bucket has. One thread per atom.
extern "C" __global__ void so3kCountCells(ListArguments a) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= a.atoms.numAtoms || !a.status->rebuilt)
        return;
    const int molecule = a.atoms.molecule[i];
    const SearchBox &box = a.boxes[molecule];
    if (!box.useCells)
        return;
    const double *x = a.atoms.wrapped + 3LL * i;
    int *cell = a.buckets.cell + 3LL * i;
    for (int k = 0; k < 3; k++) {
        if (box.periodic) {
            const double fraction = x[0] * box.inverse[0][k] + x[1] * box.inverse[1][k] + x[2] * box.inverse[2][k];
            cell[k] = min(max(int(floor(fraction * box.cells[k])), 0), box.cells[k] - 1);
        } else {
            cell[k] = int(floor(x[k] / box.cellSize));
        }
    }
    atomicAdd(a.buckets.starts + bucketOf(a.buckets, molecule, cell), 1);
}

// starts: from counts to sums of all before. One block of 1024 threads, each with a run of buckets.
extern "C" __global__ void so3kScanCells(ListArguments a) {
    __shared__ int sums[1024];
    if (!a.status->rebuilt)
        return;
    const int t = threadIdx.x, threads = blockDim.x;
    const int run = (a.buckets.numBuckets + threads - 1) / threads;
    const int begin = min(t * run, a.buckets.numBuckets), end = min(begin + run, a.buckets.numBuckets);
    int sum = 0;
    for (int b = begin; b < end; b++)
        sum += a.buckets.starts[b];
    sums[t] = sum;
    __syncthreads();
    for (int distance = 1; distance < threads; distance *= 2) {
        const int lower = t >= distance ? sums[t - distance] : 0;
        __syncthreads();
        sums[t] += lower;
        __syncthreads();
    }
    int start = sums[t] - sum;
    for (int b = begin; b < end; b++) {
        const int count = a.buckets.starts[b];
        a.buckets.starts[b] = start;
        start += count;
    }
    if (t == threads - 1)
        a.buckets.starts[a.buckets.numBuckets] = start;
}

// Atoms into their buckets. Their order inside a bucket is left to chance; rows are sorted afterwards.
extern "C" __global__ void so3kFillCells(ListArguments a) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= a.atoms.numAtoms || !a.status->rebuilt || !a.boxes[a.atoms.molecule[i]].useCells)
        return;
    const int bucket = bucketOf(a.buckets, a.atoms.molecule[i], a.buckets.cell + 3LL * i);
    a.buckets.atoms[a.buckets.starts[bucket] + atomicAdd(a.buckets.cursor + bucket, 1)] = i;
}

} // namespace cuda
} // namespace so3krates
