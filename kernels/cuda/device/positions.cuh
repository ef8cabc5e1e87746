// The caller's positions, of any layout, as the rows of doubles that everything else reads.
#pragma once

#include "cuda/device/positions_arguments.h"

// out[i][k] = source at byte offset i strides[0] + k strides[1]. One thread per number; 12 or 16 bytes of traffic each.
extern "C" __global__ void so3kReadPositions(so3krates::cuda::PositionsArguments a) {
    const long long number = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= 3LL * a.numAtoms)
        return;
    const char *from = a.source + number / 3 * a.strides[0] + number % 3 * a.strides[1];
    a.positions[number] = a.isSingle ? double(*(const float *)from) : *(const double *)from;
}
