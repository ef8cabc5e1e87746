// A kernel that needs nothing of a model: shows that kernels can be compiled, loaded, launched and replayed.
#pragma once

#include "cuda/device/self_test_arguments.h"

// out[i] = factor * in[i] + i. One thread per entry; 16 bytes of traffic each.
extern "C" __global__ void so3kTest(so3krates::cuda::SelfTestArguments a) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < a.n)
        a.out[i] = a.factor * a.in[i] + i;
}
