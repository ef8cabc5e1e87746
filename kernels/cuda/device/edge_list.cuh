// The neighbor matrix as one list of edges, for people.
#pragma once

#include "cuda/device/edge_list.h"

namespace so3krates {
namespace cuda {

// A warp per receiver, lanes over its neighbors; 8 bytes read and 20 written per edge.
extern "C" __global__ void so3kListEdges(EdgeListArguments a) {
    const int lane = threadIdx.x % 32, i = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (i >= a.numAtoms)
        return;
    const int *range = a.boxes[a.molecule[i]].range;
    for (int k = lane; k < a.edges.count[i]; k += 32) {
        const long long entry = (long long)i * a.edges.capacity + k, out = (long long)a.starts[i] + k;
        const int j = a.edges.senders[entry];
        int image = a.edges.images[entry];
        a.receivers[out] = i;
        a.senders[out] = j;
        for (int x = 2; x >= 0; x--) {
            const int width = 2 * range[x] + 1;
            // between wrapped positions, then between those given
            a.shifts[3 * out + x] = image % width - range[x] + a.wraps[3LL * j + x] - a.wraps[3LL * i + x];
            image /= width;
        }
    }
}

} // namespace cuda
} // namespace so3krates
