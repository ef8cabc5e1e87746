#pragma once
// Picks lanes of vectors by a condition and stores them side by side.

#include "cpu/simd/vector.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace so3krates::cpu::SO3KRATES_ARCH {

#if defined(__AVX2__) && !defined(__AVX512F__)
// The lanes whose bits are set, for each set of bits.
struct LaneOrders {
    int32_t lane[256][8];
    constexpr LaneOrders() : lane() {
        for (int bits = 0; bits < 256; bits++)
            for (int k = 0, count = 0; k < 8; k++)
                if (bits >> k & 1)
                    lane[bits][count++] = k;
    }
};
inline constexpr LaneOrders laneOrders;
#endif

// Stores the lanes of v[c] for which `keep` is true at to[c], in their order, and returns how many these are. Up to a
// whole vector is written. (The compilers' vector extensions have no such operation.)
template <class T, int COUNT> SO3K_INLINE int storeSelected(Ints<T> keep, const Vec<T> *v, T *const *to) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
        const __mmask16 mask = _mm512_movepi32_mask((__m512i)keep);
        for (int c = 0; c < COUNT; c++)
            _mm512_storeu_ps(to[c], _mm512_maskz_compress_ps(mask, (__m512)v[c]));
        return __builtin_popcount(mask);
    } else {
        const __mmask8 mask = _mm512_movepi64_mask((__m512i)keep);
        for (int c = 0; c < COUNT; c++)
            _mm512_storeu_pd(to[c], _mm512_maskz_compress_pd(mask, (__m512d)v[c]));
        return __builtin_popcount(mask);
    }
#else
#if defined(__AVX2__)
    if constexpr (sizeof(T) == 4) {
        const int mask = _mm256_movemask_ps((__m256)keep);
        const __m256i order = _mm256_loadu_si256((const __m256i *)laneOrders.lane[mask]);
        for (int c = 0; c < COUNT; c++)
            _mm256_storeu_ps(to[c], _mm256_permutevar8x32_ps((__m256)v[c], order));
        return __builtin_popcount(mask);
    }
#endif
    int count = 0;
    for (int k = 0; k < lanes<T>; k++) {
        for (int c = 0; c < COUNT; c++)
            to[c][count] = v[c][k];
        count += keep[k] != 0;
    }
    return count;
#endif
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
