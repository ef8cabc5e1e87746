// The model's shape as compile-time constants, from the macros that the host gives.
#pragma once

namespace so3krates {
namespace cuda {

using Real = SO3K_REAL; // float or double

constexpr int numFeatures = SO3K_F;
constexpr int numHeads = SO3K_HEADS;
constexpr int numDegrees = SO3K_DEGREES;
constexpr int numEuclidean = SO3K_M; // sum of 2l+1
constexpr int numRadial = SO3K_K;
constexpr int numSphericalHidden = SO3K_S;

template <int n> struct Constant {
    static constexpr int value = n;
};

// Degree l of a block of Euclidean variables. With a constant argument (an unrolled loop) this is a constant.
__device__ constexpr int degreeOf(int block) {
    const int degrees[numDegrees] = {SO3K_DEGREE_LIST};
    return degrees[block];
}

// Where the block begins among the numEuclidean variables. A few selections where the block is not a constant.
__device__ constexpr int degreeStart(int block) {
    int start = 0;
#pragma unroll
    for (int d = 0; d < numDegrees; d++)
        start += d < block ? 2 * degreeOf(d) + 1 : 0;
    return start;
}

// The block that variable m belongs to.
__device__ constexpr int degreeIndex(int m) {
    int index = 0;
#pragma unroll
    for (int d = 1; d < numDegrees; d++)
        index += m >= degreeStart(d);
    return index;
}

// Y_l(-u) = parity Y_l(u)
__device__ constexpr int parityOf(int block) { return degreeOf(block) % 2 ? -1 : 1; }

} // namespace cuda
} // namespace so3krates
