// Sums over the lanes of a warp, in one order.
#pragma once

namespace so3krates {
namespace cuda {

// The same sum in every lane.
template <class T> __device__ inline T warpSum(T value) {
    for (int distance = 16; distance > 0; distance /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

// The largest, in every lane.
__device__ inline unsigned warpLargest(unsigned value) {
#if SO3K_EMULATION || __CUDA_ARCH__ >= 800
    return __reduce_max_sync(0xffffffffu, value);
#else
    for (int distance = 16; distance > 0; distance /= 2)
        value = max(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
#endif
}

// strain (xx, yy, zz, yz, xz, xy) += g r r
template <class T> __device__ inline void addStrain(T strain[6], T g, const T r[3]) {
    strain[0] += g * r[0] * r[0];
    strain[1] += g * r[1] * r[1];
    strain[2] += g * r[2] * r[2];
    strain[3] += g * r[1] * r[2];
    strain[4] += g * r[0] * r[2];
    strain[5] += g * r[0] * r[1];
}

// strain (xx, yy, zz, yz, xz, xy) += g_a r_b / 2
template <class T> __device__ inline void addGradientStrain(double strain[6], const T g[3], const T r[3]) {
    strain[0] += double(T(0.5) * g[0] * r[0]);
    strain[1] += double(T(0.5) * g[1] * r[1]);
    strain[2] += double(T(0.5) * g[2] * r[2]);
    strain[3] += double(T(0.5) * g[1] * r[2]);
    strain[4] += double(T(0.5) * g[0] * r[2]);
    strain[5] += double(T(0.5) * g[0] * r[1]);
}

// An atom's force += the lanes' sum.
__device__ inline void addForce(int lane, const double force[3], double *total) {
    for (int k = 0; k < 3; k++) {
        const double sum = warpSum(force[k]);
        if (lane == 0)
            total[k] += sum;
    }
}

// An atom's strain += the lanes' sum.
__device__ inline void addStrainTotal(int lane, const double strain[6], double *total) {
    for (int k = 0; k < 6; k++) {
        const double sum = warpSum(strain[k]);
        if (lane == 0)
            total[k] += sum;
    }
}

} // namespace cuda
} // namespace so3krates
