// Kernels that access shared memory in known ways, for the tests of bank_conflicts.h. mode: numbers of 4 bytes from one
// lane's place to the next; out: one number per thread, so that nothing is left out.

#include "self_test_arguments.h"

struct alignas(8) TwoNumbers {
    float of[2];
};
struct alignas(16) FourNumbers {
    float of[4];
};
template <class T> __device__ T &laneNumbers(float *row, int mode) {
    return *reinterpret_cast<T *>(row + int(threadIdx.x % 32) * mode);
}

extern "C" __global__ void so3kReadOne(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    a.out[threadIdx.x] = laneNumbers<float>(row, a.mode);
}

extern "C" __global__ void so3kReadTwo(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    const TwoNumbers two = laneNumbers<TwoNumbers>(row, a.mode);
    a.out[threadIdx.x] = two.of[0] + 2 * two.of[1];
}

extern "C" __global__ void so3kReadFour(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    const FourNumbers four = laneNumbers<FourNumbers>(row, a.mode);
    float sum = 0;
    for (int k = 0; k < 4; k++)
        sum += four.of[k] * a.mode;
    a.out[threadIdx.x] = sum;
}

extern "C" __global__ void so3kReadDouble(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    a.out[threadIdx.x] = laneNumbers<double>(row, a.mode);
}

extern "C" __global__ void so3kWriteFour(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    FourNumbers four;
    for (int k = 0; k < 4; k++)
        four.of[k] = float(a.in[k]);
    laneNumbers<FourNumbers>(row, a.mode) = four;
}

// Static shared memory, by columns; rows of 32 or 33 numbers.
template <int width> __device__ float readColumn() {
    __shared__ float square[32][width];
    square[threadIdx.x / 32][threadIdx.x % 32] = 1;
    __syncthreads();
    return square[threadIdx.x % 32][threadIdx.x / 32];
}
extern "C" __global__ void so3kColumns(SelfTestArguments a) {
    a.out[threadIdx.x] = a.mode == 32 ? readColumn<32>() : readColumn<33>();
}

// Lane l goes l % 4 + 1 times through the loop, one place further each time.
extern "C" __global__ void so3kDiverge(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    float sum = 0;
    for (unsigned k = 0; k <= threadIdx.x % 4; k++)
        sum += (&laneNumbers<float>(row, a.mode))[k];
    a.out[threadIdx.x] = sum;
}

// Rows of eight numbers, one per lane: read, added to, and copied to rows elsewhere one number at a time.
extern "C" __global__ void so3kReadRow(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    float sum = 0;
    for (int k = 0; k < 8; k++)
        sum += (&laneNumbers<float>(row, a.mode))[k];
    a.out[threadIdx.x] = sum;
}

extern "C" __global__ void so3kAddToRow(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    for (int k = 0; k < 8; k++)
        (&laneNumbers<float>(row, a.mode))[k] += float(a.in[k]);
}

extern "C" __global__ void so3kCopyRow(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    for (int k = 0; k < 8; k++)
        (&laneNumbers<float>(row + 1024, a.mode))[k] = (&laneNumbers<float>(row, a.mode))[k];
}

// Four numbers by four instructions.
extern "C" __global__ void so3kReadWrittenOut(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    const float *own = &laneNumbers<float>(row, a.mode);
    const float first = own[0], second = own[1], third = own[2], last = own[3];
    a.out[threadIdx.x] = first + 2 * second + 3 * third + 4 * last;
}

// Two rows of eight numbers, in turn.
extern "C" __global__ void so3kReadTwoRows(SelfTestArguments a) {
    SO3K_DYNAMIC_SHARED(float, row);
    float sum = 0;
    for (int k = 0; k < 8; k++)
        for (int r = 0; r < 2; r++)
            sum += (k + 1) * (&laneNumbers<float>(row + 1024 * r, a.mode))[k];
    a.out[threadIdx.x] = sum;
}
