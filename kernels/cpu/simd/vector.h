#pragma once
// Fixed-width vectors by the compiler's vector extensions: one source for SSE, AVX2, AVX-512 and NEON.
// Included only by kernels.cpp, which is compiled once per instruction set (SO3KRATES_ARCH, SO3KRATES_VECTOR_BYTES).
// Nothing here or in the kernels may use templates of the standard library: an inline function of std compiled for
// AVX-512 could be the copy the linker keeps for everybody.

#include <cstdint>

namespace so3krates::cpu::SO3KRATES_ARCH {

template <class T> struct VectorTraits;
template <> struct VectorTraits<float> {
    typedef float Vector __attribute__((vector_size(SO3KRATES_VECTOR_BYTES)));
    typedef int32_t Integers __attribute__((vector_size(SO3KRATES_VECTOR_BYTES)));
};
template <> struct VectorTraits<double> {
    typedef double Vector __attribute__((vector_size(SO3KRATES_VECTOR_BYTES)));
    typedef int64_t Integers __attribute__((vector_size(SO3KRATES_VECTOR_BYTES)));
};

template <class T> using Vec = typename VectorTraits<T>::Vector;
template <class T> using Ints = typename VectorTraits<T>::Integers;
template <class T> constexpr int lanes = SO3KRATES_VECTOR_BYTES / int(sizeof(T));

#define SO3K_INLINE inline __attribute__((always_inline))

template <class T> SO3K_INLINE Vec<T> load(const T *p) {
    Vec<T> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
template <class T> SO3K_INLINE void store(T *p, Vec<T> v) { __builtin_memcpy(p, &v, sizeof v); }
template <class T> SO3K_INLINE Vec<T> broadcast(T x) { return x - Vec<T>{}; }
template <class T> SO3K_INLINE Vec<T> zero() { return Vec<T>{}; }
template <class T> SO3K_INLINE Ints<T> bitsOf(Vec<T> v) { return (Ints<T>)v; }
template <class T> SO3K_INLINE Vec<T> vectorOf(Ints<T> v) { return (Vec<T>)v; }
template <class T> SO3K_INLINE Vec<T> minimum(Vec<T> a, Vec<T> b) { return a < b ? a : b; }
template <class T> SO3K_INLINE Vec<T> maximum(Vec<T> a, Vec<T> b) { return a > b ? a : b; }

// Sum of the lanes, by halves: the same order on every call.
template <class T> SO3K_INLINE T sum(Vec<T> v) {
    T x[lanes<T>];
    store<T>(x, v);
    for (int n = lanes<T> / 2; n > 0; n /= 2)
        for (int k = 0; k < n; k++)
            x[k] += x[k + n];
    return x[0];
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
