// What the attention kernels leave for the rest of the evaluation, as somebody who wants the attention alone asks for
// it.
#pragma once

#include "cuda/device/attention_results.h"
#include "cuda/device/shape.cuh"

namespace so3krates {
namespace cuda {

// evMessage = evAttended - evIn; gradient = -forces. One thread per number.
extern "C" __global__ void so3kAttentionResults(AttentionResultArguments<Real> a) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < a.numEv)
        a.evMessage[k] = a.evAttended[k] - a.evIn[k];
    if (k < a.numCoordinates)
        a.gradient[k] = -a.forces[k];
}

} // namespace cuda
} // namespace so3krates
