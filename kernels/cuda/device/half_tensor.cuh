// Matrix products of small tiles on tensor cores, in float32 by way of FP16 (10 bits of fraction, 5 of exponent). A
// number is split into a big part and the rest, both FP16: x y = big big + big small + small big + O(2^-22 x y). FP16
// has few exponents: powers of two, which the callers choose, bring the largest numbers of a product near 2^15, and
// what is 2^30 times smaller may be lost. Against TF32 (tensor.cuh): half as many products, and two numbers in a
// register. The emulation computes the same from the same lanes.
#pragma once

#include "cuda/device/shape.cuh"

namespace so3krates {
namespace cuda {

constexpr int halfDepth = 16; // numbers that one product sums

// Two numbers rounded to FP16, the first in the lower half; and back.
__device__ inline unsigned packHalves(float first, float second) {
#if SO3K_EMULATION
    using namespace ::so3krates::cuda; // half.h
    return halfBits(first) | unsigned(halfBits(second)) << 16;
#else
    unsigned halves;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(halves) : "f"(second), "f"(first));
    return halves;
#endif
}
__device__ inline void unpackHalves(unsigned halves, float &first, float &second) {
#if SO3K_EMULATION
    using namespace ::so3krates::cuda;
    first = halfValue(static_cast<unsigned short>(halves));
    second = halfValue(static_cast<unsigned short>(halves >> 16));
#else
    asm("{\n\t.reg .f16 low, high;\n\tmov.b32 {low, high}, %2;\n\tcvt.f32.f16 %0, low;\n\tcvt.f32.f16 %1, high;\n\t}"
        : "=f"(first), "=f"(second)
        : "r"(halves));
#endif
}

// Two numbers split.
__device__ inline void splitHalves(float first, float second, unsigned &big, unsigned &small) {
    float bigFirst, bigSecond;
    big = packHalves(first, second);
    unpackHalves(big, bigFirst, bigSecond);
    small = packHalves(first - bigFirst, second - bigSecond);
}

// Four numbers of B, split: the four that lane t reads.
struct alignas(16) SplitFour {
    unsigned big[2], small[2];
    __device__ void set(const float (&numbers)[4]) {
        splitHalves(numbers[0], numbers[1], big[0], small[0]);
        splitHalves(numbers[2], numbers[3], big[1], small[1]);
    }
};

// A lane's part of A, split.
struct SplitFragment {
    unsigned big[4], small[4];
};

// C += A B with A [16][16], B [16][8], C [16][8], by a whole warp. Lane 4 g + t holds, two of A or B in a register,
//   a: A[g][4t, 4t+1], A[g+8][4t, 4t+1], A[g][4t+2, 4t+3], A[g+8][4t+2, 4t+3]   b: B[4t, 4t+1][g], B[4t+2, 4t+3][g]
//   c: C[g][2t], C[g][2t+1], C[g+8][2t], C[g+8][2t+1]
// The instruction numbers what it sums otherwise; what counts is that A and B do it alike. Products are exact, sums are
// float32.
__device__ inline void multiplyHalves(const unsigned (&a)[4], const unsigned (&b)[2], float (&c)[4]) {
#if SO3K_EMULATION
    struct Lane {
        unsigned a[4], b[2];
    } mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const auto lanes = SO3K_GATHER(mine);
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (int half = 0; half < 2; half++) { // assumed: sums are cut off after every eight products
        double sum[4] = {c[0], c[1], c[2], c[3]};
        for (int k = 0; k < 4; k++) {
            float x[2][2], y[2][2]; // rows, columns
            for (int n = 0; n < 2; n++) {
                unpackHalves(lanes[4 * g + k].a[n + 2 * half], x[n][0], x[n][1]);
                unpackHalves(lanes[4 * (2 * t + n) + k].b[half], y[n][0], y[n][1]);
            }
            for (int r = 0; r < 4; r++)
                sum[r] += double(x[r / 2][0]) * y[r % 2][0] + double(x[r / 2][1]) * y[r % 2][1];
        }
        for (int r = 0; r < 4; r++)
            c[r] = towardZero(sum[r]);
    }
#else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// The same of split numbers: the small products, best for all that is summed before any product of big parts. Tensor
// cores cut sums off where float32 rounds: what is cut off of small sums does not matter.
__device__ inline void multiplySmallParts(const SplitFragment &a, const SplitFour &b, float (&c)[4]) {
    multiplyHalves(a.small, b.big, c);
    multiplyHalves(a.big, b.small, c);
}
// All of it; split: whether the small parts count.
__device__ inline void multiplyParts(const SplitFragment &a, const SplitFour &b, bool split, float (&c)[4]) {
    if (split)
        multiplySmallParts(a, b, c);
    multiplyHalves(a.big, b.big, c);
}

} // namespace cuda
} // namespace so3krates
