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

// Whether a comparison holds in any lane.
template <class T> SO3K_INLINE bool any(Ints<T> comparison) {
    int64_t words[sizeof comparison / 8], all = 0;
    __builtin_memcpy(words, &comparison, sizeof comparison);
#pragma GCC unroll 8
    for (int64_t word : words)
        all |= word;
    return all != 0;
}

template <int... K> struct Indices {};
template <int N, int... K> struct IndicesBelow : IndicesBelow<N - 1, N - 1, K...> {};
template <int... K> struct IndicesBelow<0, K...> {
    using Type = Indices<K...>;
};
template <class T> using AllLanes = typename IndicesBelow<lanes<T>>::Type;

// Lane k is lane K[k] of a, or lane K[k] - lanes of b.
template <class T, int... K> SO3K_INLINE Vec<T> shuffle(Vec<T> a, Vec<T> b) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, K...);
#else
    return __builtin_shuffle(a, b, Ints<T>{K...});
#endif
}

// Of the blocks of `WIDTH` lanes of a and b, added in twos, those of a at even places, those of b at odd ones.
template <class T, int WIDTH, int... K> SO3K_INLINE Vec<T> addBlocks(Vec<T> a, Vec<T> b, Indices<K...>) {
    return shuffle<T, (K / WIDTH % 2 * lanes<T> + K / WIDTH / 2 * 2 * WIDTH + K % WIDTH)...>(a, b) +
           shuffle<T, (K / WIDTH % 2 * lanes<T> + (K / WIDTH / 2 * 2 + 1) * WIDTH + K % WIDTH)...>(a, b);
}

// The sums of the lanes of COUNT vectors (a power of two up to the lanes), in the lanes 0 to COUNT - 1; in one fixed
// order.
template <class T, int COUNT, int WIDTH = 1> SO3K_INLINE Vec<T> sums(const Vec<T> *v) {
    if constexpr (COUNT == 1) {
        if constexpr (WIDTH == lanes<T>) {
            return v[0];
        } else { // WIDTH sums, each in parts that lie WIDTH lanes apart
            const Vec<T> half = addBlocks<T, WIDTH>(v[0], v[0], AllLanes<T>());
            return sums<T, 1, 2 * WIDTH>(&half);
        }
    } else {
        Vec<T> half[COUNT / 2];
#pragma GCC unroll 8
        for (int k = 0; k < COUNT / 2; k++)
            half[k] = addBlocks<T, WIDTH>(v[2 * k], v[2 * k + 1], AllLanes<T>());
        return sums<T, COUNT / 2, 2 * WIDTH>(half);
    }
}

template <class T> SO3K_INLINE T sum(Vec<T> v) { return sums<T, 1>(&v)[0]; }

template <class T> SO3K_INLINE T dot(const T *a, const T *b, int size) {
    Vec<T> total = zero<T>();
    int k = 0;
    for (; k + lanes<T> <= size; k += lanes<T>)
        total += load<T>(a + k) * load<T>(b + k);
    T rest = 0;
    for (; k < size; k++)
        rest += a[k] * b[k];
    return sum<T>(total) + rest;
}

template <class T, int COUNT> SO3K_INLINE void storeSums(const Vec<T> *v, T *out) {
    constexpr int atOnce = COUNT < lanes<T> ? COUNT : lanes<T>;
    for (int first = 0; first < COUNT; first += atOnce) {
        const Vec<T> total = sums<T, atOnce>(v + first);
        __builtin_memcpy(out + first, &total, atOnce * sizeof(T));
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
