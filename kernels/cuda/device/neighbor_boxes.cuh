// Boxes that are in device memory, where nobody on the host looks at them: a replayed graph under a barostat.
#pragma once

#include "cuda/device/neighbor_arguments.h"

namespace so3krates {
namespace cuda {

// What Box::from() and searchBox() do on the host (neighbors/box.cpp, neighbor_lists.cpp). The images keep their range,
// which has headroom. False: the same box as before, or one that cannot be used, which is reported; `box` then stays.
__device__ inline bool takeBox(const BoxArguments &a, const double *cell, SearchBox &box) {
    bool same = true;
    for (int k = 0; k < 9; k++)
        same = same && cell[k] == box.vectors[k / 3][k % 3];
    if (same)
        return false;
    SearchBox taken = box;
    double cross[3][3]; // a_{k+1} x a_{k+2}
    for (int k = 0; k < 3; k++) {
        const double *b = cell + 3 * ((k + 1) % 3), *c = cell + 3 * ((k + 2) % 3);
        for (int x = 0; x < 3; x++) {
            cross[k][x] = b[(x + 1) % 3] * c[(x + 2) % 3] - b[(x + 2) % 3] * c[(x + 1) % 3];
            taken.vectors[k][x] = cell[3 * k + x];
        }
    }
    const double volume = cell[0] * cross[0][0] + cell[1] * cross[0][1] + cell[2] * cross[0][2];
    bool usable = true;
    for (int k = 0; k < 3; k++) {
        const double area = sqrt(cross[k][0] * cross[k][0] + cross[k][1] * cross[k][1] + cross[k][2] * cross[k][2]);
        const double height = fabs(volume) / area;
        usable = usable && height >= 0.5 && height < 1e8; // false for NaN
        if (!usable)
            break;
        for (int x = 0; x < 3; x++)
            taken.inverse[x][k] = cross[k][x] / volume;
        taken.reach[k] = a.candidateCutoff / height;
        usable = floor(taken.reach[k] + 1e-6) + 1 <= taken.range[k];
        taken.cells[k] = max(1, int(min(height / taken.cellSize, 1e6)));
        taken.cellReach[k] = int(a.candidateCutoff / (height / taken.cells[k]) + 1e-6) + 1;
    }
    if (usable)
        box = taken;
    else
        a.status->badBox = 1;
    return usable;
}

// A block per molecule. Does nothing for a molecule without a box.
extern "C" __global__ void so3kTakeBoxes(BoxArguments a) {
    __shared__ int isNew;
    SearchBox &box = a.boxes[blockIdx.x];
    if (!box.periodic)
        return;
    if (threadIdx.x == 0)
        isNew = takeBox(a, a.cells + 9LL * blockIdx.x, box);
    __syncthreads();
    if (!isNew)
        return;
    if (threadIdx.x == 0)
        *a.stale = 1;
    const int width1 = 2 * box.range[1] + 1, width2 = 2 * box.range[2] + 1;
    const int images = (2 * box.range[0] + 1) * width1 * width2;
    for (int image = threadIdx.x; image < images; image += blockDim.x) {
        const int n0 = image / (width1 * width2) - box.range[0], n1 = image / width2 % width1 - box.range[1];
        const int n2 = image % width2 - box.range[2];
        for (int x = 0; x < 3; x++)
            a.shifts[3LL * (box.firstImage + image) + x] =
                n0 * box.vectors[0][x] + n1 * box.vectors[1][x] + n2 * box.vectors[2][x];
    }
}

} // namespace cuda
} // namespace so3krates
