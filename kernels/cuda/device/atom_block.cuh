// The block of atoms that the per-atom kernels work on: a few atoms, three rows each in shared memory.
#pragma once

#include "cuda/device/activation.cuh"
#include "cuda/device/atom_arguments.h"
#include "cuda/device/dynamic_shared.cuh"
#include "cuda/device/math.cuh"
#include "cuda/device/shape.cuh"
#include "cuda/device/warp.cuh"

namespace so3krates {
namespace cuda {

constexpr int rowWidth = atomRowWidth(numFeatures, numDegrees, SO3K_ENERGY_HIDDEN, SO3K_HIRSHFELD_HIDDEN);
constexpr int mostAtoms = mostAtomsPerBlock(rowWidth, sizeof(Real));

struct AtomBlock {
    int rows;         // atoms per block, as launched
    int first, count; // the block's atoms; rows beyond count hold zeros or leftovers and are never written out
    Real *x, *a, *b;  // [rows][rowWidth] in shared memory
};

__device__ inline AtomBlock atomBlock(Real *shared, int numAtoms, int rows) {
    AtomBlock block;
    block.rows = rows;
    block.first = blockIdx.x * rows;
    block.count = numAtoms - block.first < rows ? numAtoms - block.first : rows;
    block.x = shared;
    block.a = block.x + rows * rowWidth;
    block.b = block.a + rows * rowWidth;
    return block;
}

// Rows of `width` numbers of the block's atoms into shared memory, zeros beyond the last atom.
__device__ inline void loadRows(const AtomBlock &block, const Real *rows, int width, Real *to) {
    for (int k = threadIdx.x; k < block.rows * width; k += blockDim.x) {
        const int a = k / width, f = k - a * width;
        to[a * rowWidth + f] = a < block.count ? rows[(long long)(block.first + a) * width + f] : Real(0);
    }
}

__device__ inline void storeRows(const AtomBlock &block, const Real *from, int width, Real *rows) {
    for (int k = threadIdx.x; k < block.count * width; k += blockDim.x) {
        const int a = k / width, f = k - a * width;
        rows[(long long)(block.first + a) * width + f] = from[a * rowWidth + f];
    }
}

// sum_k a[k] b[k] by a warp.
__device__ inline Real warpDot(const Real *a, const Real *b, int n) {
    Real sum = 0;
    for (int k = threadIdx.x % 32; k < n; k += 32)
        sum += a[k] * b[k];
    return warpSum(sum);
}

} // namespace cuda
} // namespace so3krates
