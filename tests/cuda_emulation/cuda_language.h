#pragma once
// The CUDA C++ that device code may use, in ordinary C++: what NVRTC knows without any header. To be included before
// the device code, by emulated_kernels.cpp alone.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "block.h"
#include "cuda/half.h"

#define SO3K_EMULATION 1

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __constant__ static
// A section of its own, so that every block finds it poisoned.
#define __shared__ static __attribute__((section("so3krates_shared")))
#define SO3K_DYNAMIC_SHARED(type, name) type *name = static_cast<type *>(::so3krates::emulation::current->dynamicShared)

#define threadIdx (::so3krates::emulation::current->thread)
#define blockIdx (::so3krates::emulation::current->block)
#define blockDim (::so3krates::emulation::current->blockSize)
#define gridDim (::so3krates::emulation::current->gridSize)
constexpr int warpSize = 32;

#define SO3K_LANE (::so3krates::emulation::current->thread.x % 32u)
#define __syncthreads() ::so3krates::emulation::synchronizeBlock(__FILE__, __LINE__)
#define __syncwarp(...) ::so3krates::emulation::synchronizeWarp(~0u, __FILE__, __LINE__)
#define __shfl_sync(mask, value, lane) ::so3krates::emulation::shuffle(mask, value, unsigned(lane), __FILE__, __LINE__)
#define __shfl_xor_sync(mask, value, bits) __shfl_sync(mask, value, SO3K_LANE ^ unsigned(bits))
#define __shfl_down_sync(mask, value, delta)                                                                           \
    __shfl_sync(mask, value, SO3K_LANE + unsigned(delta) < 32u ? SO3K_LANE + unsigned(delta) : SO3K_LANE)
#define __shfl_up_sync(mask, value, delta)                                                                             \
    __shfl_sync(mask, value, SO3K_LANE >= unsigned(delta) ? SO3K_LANE - unsigned(delta) : SO3K_LANE)
#define __ballot_sync(mask, predicate) ::so3krates::emulation::ballot(mask, predicate, __FILE__, __LINE__)
#define __reduce_max_sync(mask, value) ::so3krates::emulation::largestOfWarp(mask, value, __FILE__, __LINE__)
#define __any_sync(mask, predicate) (__ballot_sync(mask, predicate) != 0u)
#define __all_sync(mask, predicate) (__ballot_sync(mask, predicate) == ~0u)

// What tensor.cuh needs to do the work of tensor cores: the values of all lanes, and their rounding.
#define SO3K_GATHER(value) ::so3krates::emulation::gather(value, __FILE__, __LINE__)
inline float towardZero(double x) {
    const float nearest = float(x);
    return std::fabs(double(nearest)) > std::fabs(x) ? std::nextafter(nearest, 0.0f) : nearest;
}

// One OS thread runs everything: any operation is atomic. Integers only: floating-point sums would depend on the order.
#define SO3K_ATOMIC(name, expression)                                                                                  \
    template <class T> T name(T *address, std::common_type_t<T> value) {                                               \
        static_assert(std::is_integral_v<T>, "no atomics on floating point");                                          \
        const T old = *address;                                                                                        \
        *address = (expression);                                                                                       \
        return old;                                                                                                    \
    }
SO3K_ATOMIC(atomicAdd, T(old + value))
SO3K_ATOMIC(atomicMax, std::max(old, value))
SO3K_ATOMIC(atomicMin, std::min(old, value))
SO3K_ATOMIC(atomicOr, old | value)
SO3K_ATOMIC(atomicAnd, old &value)
SO3K_ATOMIC(atomicExch, value)
#undef SO3K_ATOMIC
template <class T> T atomicCAS(T *address, std::common_type_t<T> expected, std::common_type_t<T> value) {
    static_assert(std::is_integral_v<T>, "no atomics on floating point");
    const T old = *address;
    if (old == expected)
        *address = value;
    return old;
}
inline void __threadfence() {}

using std::isfinite;
using std::isinf;
using std::isnan;
using std::max;
using std::min;
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float x, float y) { return x / y; }
template <class T> T __ldg(const T *address) { return *address; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }

template <class To, class From> To so3kBitCast(From from) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    std::memcpy(&to, &from, sizeof(to));
    return to;
}
inline float __int_as_float(int x) { return so3kBitCast<float>(x); }
inline int __float_as_int(float x) { return so3kBitCast<int>(x); }
inline double __longlong_as_double(long long x) { return so3kBitCast<double>(x); }
inline long long __double_as_longlong(double x) { return so3kBitCast<long long>(x); }

struct alignas(8) int2 {
    int x, y;
};
struct int3 {
    int x, y, z;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct float3 {
    float x, y, z;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
struct double3 {
    double x, y, z;
};
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int3 make_int3(int x, int y, int z) { return {x, y, z}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
inline double3 make_double3(double x, double y, double z) { return {x, y, z}; }
