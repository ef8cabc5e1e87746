#pragma once
// C [n][columns] = (bias or C or 0) + A [n][k] * B [k][columns], B packed in panels by PackedModelOwner::dense.
// Register tiles of up to `tileRows` rows by two vectors; the sums run over k in rising order whatever n is, so a row's
// result does not depend on the rows computed with it.

#include "cpu/simd/vector.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// Accumulators, two vectors of B and one broadcast must fit the registers: 16 with AVX2, 32 with AVX-512 and NEON.
constexpr int tileRows = SO3KRATES_TILE_ROWS;

enum class Start { Zero, Bias, Accumulate };

template <class T, int ROWS, int VECTORS>
SO3K_INLINE void gemmTile(const T *a, int lda, const T *b, int k, Start start, const T *bias, T *c, int ldc) {
    constexpr int W = lanes<T>;
    Vec<T> sums[ROWS][VECTORS];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++)
            sums[r][v] = start == Start::Zero   ? zero<T>()
                         : start == Start::Bias ? load<T>(bias + v * W)
                                                : load<T>(c + r * ldc + v * W);
    for (int q = 0; q < k; q++) {
        Vec<T> column[VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++)
            column[v] = load<T>(b + (q * VECTORS + v) * W);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++) {
            T x = a[r * lda + q];
#pragma GCC unroll 2
            for (int v = 0; v < VECTORS; v++)
                sums[r][v] += x * column[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++)
            store<T>(c + r * ldc + v * W, sums[r][v]);
}

template <class T, int ROWS, int VECTORS>
void gemmRows(int n, const T *a, int lda, const T *b, int k, Start start, const T *bias, T *c, int ldc) {
    if constexpr (ROWS > 0) {
        if (n == ROWS)
            gemmTile<T, ROWS, VECTORS>(a, lda, b, k, start, bias, c, ldc);
        else
            gemmRows<T, ROWS - 1, VECTORS>(n, a, lda, b, k, start, bias, c, ldc);
    }
}

// columns: a multiple of lanes<T>; rows of A and C lie lda and ldc numbers apart.
template <class T>
void gemm(int n, const T *a, int lda, const T *b, int k, int columns, Start start, const T *bias, T *c, int ldc) {
    constexpr int W = lanes<T>;
    for (int column = 0; column < columns; column += 2 * W) {
        const T *panel = b + long(column) * k;
        const T *panelBias = bias ? bias + column : nullptr;
        bool pair = column + W < columns;
        // Rows in pieces as equal as can be: 16 = 6 + 5 + 5 rather than 6 + 6 + 4.
        int pieces = (n + tileRows - 1) / tileRows;
        for (int piece = 0; piece < pieces; piece++) {
            int first = n * piece / pieces, rows = n * (piece + 1) / pieces - first;
            const T *rowsOfA = a + long(first) * lda;
            T *rowsOfC = c + long(first) * ldc + column;
            if (pair)
                gemmRows<T, tileRows, 2>(rows, rowsOfA, lda, panel, k, start, panelBias, rowsOfC, ldc);
            else
                gemmRows<T, tileRows, 1>(rows, rowsOfA, lda, panel, k, start, panelBias, rowsOfC, ldc);
        }
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
