// Sums over the atoms of each molecule, in one fixed order.
#pragma once

#include "cuda/device/atom_arguments.h"
#include "cuda/device/math.cuh"

namespace so3krates {
namespace cuda {

// sums[r][c] = sum of column c over the rows of run r. A block of sumThreads threads per run: each thread adds up every
// sumThreads-th row, then the threads' sums are added pairwise. Called twice for molecules: first over chunks of at
// most a thousand atoms, then over each molecule's chunks, so that one molecule of a million atoms keeps the GPU busy.
extern "C" __global__ void so3kSums(SumArguments a) {
    __shared__ double part[sumThreads];
    const int run = blockIdx.x, begin = a.starts[run], end = a.starts[run + 1];
    for (int column = 0; column < a.numColumns; column++) {
        double sum = 0;
        if (a.values[column])
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
            a.sums[(long long)run * a.numColumns + column] = part[0];
        __syncthreads();
    }
}

// Whether the lists hold all neighbors of atoms at usable places in usable boxes.
__device__ inline bool isSound(const EnergyCheckArguments &a) {
    const ListStatus &s = *a.status;
    return s.candidatesNeeded <= a.candidateCapacity && s.edgesNeeded <= a.edgeCapacity &&
           s.farNeeded <= a.farCapacity && !s.badAtom && !s.badBox && !s.coincident && (a.watched || !s.failed);
}

// Tells the host of energies that are no numbers: the first such molecule. Of lists that are not sound all are: the
// host may not be looking, and what was computed is wrong. Unwatched, it stays so: OpenMM makes forces whole numbers,
// NaN among them, and a step or two later a system that has exploded would have neighbors that fit again. One block.
extern "C" __global__ void so3kCheckEnergies(EnergyCheckArguments a) {
    __shared__ int worst;
    if (threadIdx.x == 0)
        worst = 0;
    __syncthreads();
    for (int m = threadIdx.x; m < a.numMolecules; m += blockDim.x) {
        double *sums = a.sums + (long long)m * a.stride, energy = 0;
        if (!isSound(a))
            sums[0] = notANumber();
        for (int part = 0; part < a.numParts; part++)
            energy += sums[part];
        if (!(fabs(energy) < 1e300)) // true for NaN
            atomicMax(&worst, a.numMolecules - m);
    }
    __syncthreads();
    if (threadIdx.x == 0)
        a.status->nonFiniteEnergy = worst;
    if (threadIdx.x == 0 && worst && !a.watched)
        a.status->failed = 1;
}

} // namespace cuda
} // namespace so3krates
