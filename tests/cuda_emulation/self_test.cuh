// Kernels for the tests of the emulation: right ones, and the same with the mistakes it must find. One block of any
// number of whole warps writes out[block*blockDim + thread].

#include "self_test_arguments.h"

template <int warps> __device__ double blockSum(double value) {
    __shared__ double partial[warps];
    for (int bits = 16; bits > 0; bits /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, bits);
    if (threadIdx.x % 32 == 0)
        partial[threadIdx.x / 32] = value;
    __syncthreads();
    double sum = 0;
    for (unsigned w = 0; w < blockDim.x / 32; w++)
        sum += partial[w];
    __syncthreads();
    return sum;
}

// mode 0: right. 1: the barrier between writing and reading is missing.
extern "C" __global__ void __launch_bounds__(128) so3kReverse(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(double, row);
    const int t = threadIdx.x, n = blockDim.x;
    row[t] = a.in[blockIdx.x * n + t];
    if (a.mode != 1)
        __syncthreads();
    a.out[blockIdx.x * n + t] = row[n - 1 - t];
}

extern "C" __global__ void so3kBlockSum(SelfTestArguments a) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    a.out[at] = blockSum<32>(a.in[at]);
}

// All the shuffles and votes; out: 6 numbers per thread.
extern "C" __global__ void so3kWarp(SelfTestArguments a) {
    const int t = threadIdx.x;
    double *out = a.out + 6 * t;
    out[0] = __shfl_sync(0xffffffffu, t, 5);
    out[1] = __shfl_xor_sync(0xffffffffu, t, 3);
    out[2] = __shfl_down_sync(0xffffffffu, t, 4);
    out[3] = __shfl_up_sync(0xffffffffu, t, 4);
    out[4] = __ballot_sync(0xffffffffu, t % 3 == 0);
    out[5] = __any_sync(0xffffffffu, t == 40) + 2 * __all_sync(0xffffffffu, t < 64);
}

template <int length> __device__ double unwritten() {
    __shared__ double fixed[length];
    const double value = fixed[threadIdx.x % length];
    __syncthreads();
    fixed[threadIdx.x % length] = 1;
    return value;
}

// mode 0: divergent block barrier; 1: threads end before it; 2: half a warp shuffles; 3: a barrier of the block and one
// of the warp wait for one another; 4: reads beyond `in`; 5: writes beyond the dynamic shared memory; 6: reads shared
// memory that was not written; 7: a mask that is not full; 8: as 6, in a function template.
extern "C" __global__ void so3kMistake(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(double, row);
    __shared__ double fixed[4];
    const int t = threadIdx.x;
    double value = 1;
    if (a.mode == 0) {
        if (t < 16)
            __syncthreads();
        else
            __syncthreads();
    }
    if (a.mode == 1) {
        if (t == 7)
            return;
        __syncthreads();
    }
    if (a.mode == 2 && t < 16)
        value = __shfl_sync(0xffffffffu, value, 0);
    if (a.mode == 3) {
        if (t < 16)
            __syncthreads();
        else
            __syncwarp();
    }
    if (a.mode == 4)
        value = a.in[a.length + t];
    if (a.mode == 5)
        row[a.length + t] = 1;
    if (a.mode == 6)
        value = t % 2 ? row[t % a.length] : fixed[t % 4];
    if (a.mode == 7)
        value = __shfl_sync(0xffffu, value, 0);
    if (a.mode == 8)
        value = unwritten<4>();
    __syncthreads();
    a.out[t] = value;
    row[t % a.length] = 1;
    fixed[t % 4] = 1;
}

// Who comes first: block and thread in the order they ran.
extern "C" __global__ void so3kOrder(SelfTestArguments a) {
    const int place = atomicAdd(reinterpret_cast<int *>(a.out), 1);
    a.out[1 + place] = blockIdx.x * blockDim.x + threadIdx.x;
}
