// Real orthonormal spherical harmonics without Condon-Shortley phase, l = 0..4, m = -l..l, as polynomials in the unit
// vector that use 1 for x^2 + y^2 + z^2: whoever differentiates them projects the result on the plane normal to u.
#pragma once

#include "cuda/device/math.cuh"

namespace so3krates {
namespace cuda {

namespace harmonic {
// sqrt(q/pi) times a rational number, named by degree and |m|
constexpr double c00 = 0.28209479177387814, c1 = 0.4886025119029199;
constexpr double c22 = 1.0925484305920792, c20 = 0.31539156525252005, c2d = 0.5462742152960396;
constexpr double c33 = 0.5900435899266435, c32 = 2.890611442640554, c31 = 0.4570457994644658, c30 = 0.3731763325901154;
constexpr double c3d = 1.445305721320277;
constexpr double c44 = 2.5033429417967046, c43 = 1.7701307697799304, c42 = 0.9461746957575601, c41 = 0.6690465435572892;
constexpr double c40 = 0.10578554691520431, c4d = 0.47308734787878004, c4q = 0.6258357354491761;
} // namespace harmonic

template <int degree, class T> __device__ inline void sphericalHarmonics(T x, T y, T z, T (&out)[2 * degree + 1]) {
    static_assert(degree >= 0 && degree <= 4, "degrees go from 0 to 4");
    using namespace harmonic;
    const T x2 = x * x, y2 = y * y, z2 = z * z;
    if constexpr (degree == 0) {
        out[0] = T(c00);
    } else if constexpr (degree == 1) {
        out[0] = T(c1) * y;
        out[1] = T(c1) * z;
        out[2] = T(c1) * x;
    } else if constexpr (degree == 2) {
        out[0] = T(c22) * x * y;
        out[1] = T(c22) * y * z;
        out[2] = T(c20) * (3 * z2 - 1);
        out[3] = T(c22) * x * z;
        out[4] = T(c2d) * (x2 - y2);
    } else if constexpr (degree == 3) {
        out[0] = T(c33) * y * (3 * x2 - y2);
        out[1] = T(c32) * x * y * z;
        out[2] = T(c31) * y * (5 * z2 - 1);
        out[3] = T(c30) * z * (5 * z2 - 3);
        out[4] = T(c31) * x * (5 * z2 - 1);
        out[5] = T(c3d) * (x2 - y2) * z;
        out[6] = T(c33) * x * (x2 - 3 * y2);
    } else {
        out[0] = T(c44) * x * y * (x2 - y2);
        out[1] = T(c43) * y * (3 * x2 - y2) * z;
        out[2] = T(c42) * x * y * (7 * z2 - 1);
        out[3] = T(c41) * y * z * (7 * z2 - 3);
        out[4] = T(c40) * (35 * z2 * z2 - 30 * z2 + 3);
        out[5] = T(c41) * x * z * (7 * z2 - 3);
        out[6] = T(c4d) * (x2 - y2) * (7 * z2 - 1);
        out[7] = T(c43) * x * (x2 - 3 * y2) * z;
        out[8] = T(c4q) * (x2 * x2 - 6 * x2 * y2 + y2 * y2);
    }
}

// gradient += sum_m g_m dY_m/d(x, y, z)
template <int degree, class T>
__device__ inline void sphericalHarmonicsGradient(T x, T y, T z, const T (&g)[2 * degree + 1], T (&gradient)[3]) {
    using namespace harmonic;
    const T x2 = x * x, y2 = y * y, z2 = z * z, xy = x * y, yz = y * z, xz = x * z;
    T &gx = gradient[0], &gy = gradient[1], &gz = gradient[2];
    if constexpr (degree == 1) {
        gy += T(c1) * g[0];
        gz += T(c1) * g[1];
        gx += T(c1) * g[2];
    } else if constexpr (degree == 2) {
        gx += T(c22) * (g[0] * y + g[3] * z) + T(2 * c2d) * g[4] * x;
        gy += T(c22) * (g[0] * x + g[1] * z) - T(2 * c2d) * g[4] * y;
        gz += T(c22) * (g[1] * y + g[3] * x) + T(6 * c20) * g[2] * z;
    } else if constexpr (degree == 3) {
        const T five = 5 * z2 - 1;
        gx += T(c33) * (6 * g[0] * xy + 3 * g[6] * (x2 - y2)) + T(c32) * g[1] * yz + T(c31) * g[4] * five +
              T(2 * c3d) * g[5] * xz;
        gy += T(c33) * (3 * g[0] * (x2 - y2) - 6 * g[6] * xy) + T(c32) * g[1] * xz + T(c31) * g[2] * five -
              T(2 * c3d) * g[5] * yz;
        gz += T(c32) * g[1] * xy + T(10 * c31) * (g[2] * yz + g[4] * xz) + T(3 * c30) * g[3] * five +
              T(c3d) * g[5] * (x2 - y2);
    } else if constexpr (degree == 4) {
        const T three = 3 * x2 - y2, minusThree = x2 - 3 * y2, seven = 7 * z2 - 1, sevenThree = 7 * z2 - 3;
        gx += T(c44) * g[0] * y * three + T(6 * c43) * g[1] * xy * z + T(c42) * g[2] * y * seven +
              T(c41) * g[5] * z * sevenThree + T(2 * c4d) * g[6] * x * seven + T(3 * c43) * g[7] * (x2 - y2) * z +
              T(4 * c4q) * g[8] * x * minusThree;
        gy += T(c44) * g[0] * x * minusThree + T(3 * c43) * g[1] * (x2 - y2) * z + T(c42) * g[2] * x * seven +
              T(c41) * g[3] * z * sevenThree - T(2 * c4d) * g[6] * y * seven - T(6 * c43) * g[7] * xy * z -
              T(4 * c4q) * g[8] * y * three;
        gz += T(c43) * (g[1] * y * three + g[7] * x * minusThree) + T(14 * c42) * g[2] * xy * z +
              T(c41) * (g[3] * y + g[5] * x) * (21 * z2 - 3) + T(c40) * g[4] * (140 * z2 - 60) * z +
              T(14 * c4d) * g[6] * (x2 - y2) * z;
    }
}

} // namespace cuda
} // namespace so3krates
