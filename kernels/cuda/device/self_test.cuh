// A kernel that needs nothing of a model: shows that kernels can be compiled, loaded, launched and replayed.
#pragma once

namespace so3krates {
namespace cuda {

struct SelfTestArguments {
    const double* in;  // [n]
    double* out;       // [n]
    double factor;
    int n;
};

} // namespace cuda
} // namespace so3krates

// out[i] = factor * in[i] + i. One thread per entry; 16 bytes of traffic each.
extern "C" __global__ void so3kTest(so3krates::cuda::SelfTestArguments a) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < a.n)
        a.out[i] = a.factor * a.in[i] + i;
}
