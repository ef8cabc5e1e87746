// Sums over the atoms of a molecule inside other kernels, by every block that wants one: cheaper than a launch for it.
#pragma once

#include "cuda/device/atom_arguments.h"
#include "cuda/device/warp.cuh"

namespace so3krates {
namespace cuda {

__device__ inline int moleculeSize(const MoleculeTotal &of, int molecule) {
    return of.offsets[molecule + 1] - of.offsets[molecule];
}

// The same bits in all threads of the block, which call it together, and in every block of sumThreads threads or more.
__device__ inline double moleculeTotal(const MoleculeTotal &of, int molecule) {
    __shared__ double part[sumThreads / 32];
    const int firstChunk = of.moleculeChunks[molecule], chunks = of.moleculeChunks[molecule + 1] - firstChunk;
    const double *values = chunks > 1 ? of.chunkSums + firstChunk : of.values + of.offsets[molecule];
    const int count = chunks > 1 ? chunks : moleculeSize(of, molecule);
    if (threadIdx.x < sumThreads) {
        double sum = 0;
#pragma unroll 8
        for (int k = threadIdx.x; k < count; k += sumThreads)
            sum += values[k];
        sum = warpSum(sum);
        if (threadIdx.x % 32 == 0)
            part[threadIdx.x / 32] = sum;
    }
    __syncthreads();
    double sum = 0;
    for (int warp = 0; warp < sumThreads / 32; warp++)
        sum += part[warp];
    __syncthreads(); // the next call writes to it
    return sum;
}

} // namespace cuda
} // namespace so3krates
