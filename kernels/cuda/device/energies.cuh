// Sums over the atoms of each molecule, in one fixed order.
#pragma once

#include "cuda/device/atom_arguments.h"
#include "cuda/device/math.cuh"
#include "cuda/device/warp.cuh"

namespace so3krates {
namespace cuda {

// sums[r][c] = sum of column c over the rows of run r: chunks of molecules, so that one of a million atoms keeps the
// GPU busy. A block of sumThreads threads per run and column: each thread adds up every sumThreads-th row, then the
// threads' sums are added pairwise.
extern "C" __global__ void so3kSums(SumArguments a) {
    __shared__ double part[sumThreads];
    const int run = blockIdx.x / a.numColumns, column = blockIdx.x % a.numColumns;
    const int begin = a.starts[run], end = a.starts[run + 1];
    double sum = 0;
    if (a.values[column])
#pragma unroll 8
        for (int row = begin + threadIdx.x; row < end; row += blockDim.x)
            sum += a.values[column][(long long)row * a.stride[column]];
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = sumThreads / 2; half > 0; half /= 2) {
        if ((int)threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        a.sums[blockIdx.x] = part[0];
}

// Whether the lists hold all neighbors of atoms at usable places in usable boxes.
__device__ inline bool isSound(const MoleculeSumArguments &a) {
    const ListStatus &s = *a.status;
    return s.candidatesNeeded <= a.candidateCapacity && s.edgesNeeded <= a.edgeCapacity &&
           s.farNeeded <= a.farCapacity && !s.badAtom && !s.badBox && !s.coincident && (a.watched || !s.failed);
}

// sums[m][c] over the atoms of molecule m, or its chunks, and the end of an evaluation: tells of energies that are no
// numbers. Where the lists are not sound all are: the host may not be looking, and what was computed is wrong.
// Unwatched, it stays so: OpenMM makes forces whole numbers, NaN among them, and a step or two later a system that has
// exploded would have neighbors that fit again. A block per molecule, a warp per column.
extern "C" __global__ void so3kMoleculeSums(MoleculeSumArguments a) {
    __shared__ double sums[maxSumColumns];
    const int m = blockIdx.x, column = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int firstChunk = a.moleculeChunks[m], chunks = a.moleculeChunks[m + 1] - firstChunk;
    const bool inChunks = chunks > 1;
    const double *values = inChunks ? a.chunkSums + column : a.values[column];
    const int begin = inChunks ? firstChunk : a.offsets[m], end = inChunks ? firstChunk + chunks : a.offsets[m + 1];
    const int stride = inChunks ? a.numColumns : a.stride[column];
    double sum = 0;
    if (values)
#pragma unroll 8
        for (int row = begin + lane; row < end; row += 32)
            sum += values[(long long)row * stride];
    sum = warpSum(sum);
    if (lane == 0)
        sums[column] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        if (!isSound(a))
            sums[0] = notANumber();
        double energy = 0;
        for (int part = 0; part < a.numEnergies; part++)
            energy += sums[part];
        if (!(fabs(energy) < 1e300)) { // true for NaN
            atomicMax(&a.status->nonFiniteNow, a.numMolecules - m);
            if (!a.watched)
                a.status->failed = 1;
        }
    }
    __syncthreads();
    if ((int)threadIdx.x < a.numColumns)
        a.sums[(long long)m * a.numColumns + threadIdx.x] = sums[threadIdx.x];
}

} // namespace cuda
} // namespace so3krates
