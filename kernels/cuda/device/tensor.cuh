// Matrix products of small tiles on tensor cores, in float32 by way of TF32 (float32's exponent, 10 bits of fraction).
// A number is split into a big part and the rest, both TF32: x y = big big + big small + small big + O(2^-22 x y).
// The emulation computes the same from the same lanes: what is tested there is every index of a fragment.
#pragma once

#include "cuda/device/shape.cuh"

namespace so3krates {
namespace cuda {

// Tensor cores from compute capability 8.0 on, unless they are not wanted.
#if SO3K_TENSOR_CORES && (SO3K_EMULATION || __CUDA_ARCH__ >= 800)
constexpr bool haveTensorCores = sizeof(Real) == sizeof(float);
#else
constexpr bool haveTensorCores = false;
#endif

constexpr int tf32Mask = ~0x1fff;

// x rounded to TF32, to nearest, halves away from zero, as cvt.rna.tf32.f32 in half as many instructions. Loses NaN.
__device__ inline float roundToTf32(float x) {
    return __int_as_float(int(unsigned(__float_as_int(x)) + 0x1000u) & tf32Mask);
}
// x cut off. Keeps NaN.
__device__ inline float cutToTf32(float x) { return __int_as_float(__float_as_int(x) & tf32Mask); }

// A lane's part of a matrix of n numbers per lane.
template <int n> struct Fragment {
    float big[n], small[n];
    __device__ void set(int k, float x) {
        big[k] = roundToTf32(x);
        small[k] = cutToTf32(x - big[k]); // NaN of infinite x, too
    }
};

// C += A B with A [16][8], B [8][8], C [16][8], by a whole warp. Lane 4 g + t holds, in this order,
//   a: A[g][t], A[g+8][t], A[g][t+4], A[g+8][t+4]   b: B[t][g], B[t+4][g]
//   c: C[g][2t], C[g][2t+1], C[g+8][2t], C[g+8][2t+1]
// a and b are TF32 numbers, products are exact, sums are float32.
__device__ inline void multiplyTile(const float (&a)[4], const float (&b)[2], float (&c)[4]) {
#if SO3K_EMULATION
    struct Lane {
        float a[4], b[2];
    } mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const auto lanes = SO3K_GATHER(mine);
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (int r = 0; r < 4; r++)
        for (int half = 0; half < 2; half++) { // assumed: sums are cut off after every four products
            double sum = c[r];
            for (int k = 0; k < 4; k++)
                sum += double(lanes[4 * g + k].a[r / 2 + 2 * half]) * lanes[4 * (2 * t + r % 2) + k].b[half];
            c[r] = towardZero(sum);
        }
#else
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
          "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
#endif
}

// The same of split numbers, small products first.
__device__ inline void multiplyTile(const Fragment<4> &a, const Fragment<2> &b, float (&c)[4]) {
    multiplyTile(a.small, b.big, c);
    multiplyTile(a.big, b.small, c);
    multiplyTile(a.big, b.big, c);
}

} // namespace cuda
} // namespace so3krates
