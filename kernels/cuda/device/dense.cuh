// Rows of a few atoms in shared memory, and matrix products with weights from global memory: the one place where the
// per-atom kernels multiply matrices. Every weight is read once per block of atoms.
#pragma once

#include "cuda/device/atom_block.cuh"
#include "cuda/device/dense_layout.h"
#include "cuda/device/tensor.cuh"
#include "cuda/device/warp.cuh"

namespace so3krates {
namespace cuda {

constexpr bool useTensorCores = haveTensorCores && mostAtoms % 8 == 0;

// A thread owns a column, of all atoms.
template <int atoms>
__device__ inline void denseByColumns(const Real *in, int ins, const Real *weight, const Real *bias, int outs,
                                      int blocks, Real *out) {
    constexpr int step = 4; // rows of weights at once: an atom's numbers come in one read
    struct alignas(16) Numbers {
        Real of[step];
    };
    for (int column = threadIdx.x; column < blocks * outs; column += blockDim.x) {
        const int block = column / outs;
        const Real *w = weight + (long long)block * ins * outs + (column - block * outs);
        const Real *x = in + block * ins;
        Real sum[atoms];
#pragma unroll
        for (int a = 0; a < atoms; a++)
            sum[a] = bias ? bias[column] : Real(0);
        const int whole = ins % step ? 0 : ins; // otherwise a block's rows are not aligned
#pragma unroll 2
        for (int k = 0; k < whole; k += step) {
            Real factor[step];
#pragma unroll
            for (int q = 0; q < step; q++)
                factor[q] = w[(long long)(k + q) * outs];
#pragma unroll
            for (int a = 0; a < atoms; a++) {
                const Numbers numbers = *reinterpret_cast<const Numbers *>(x + a * rowWidth + k);
#pragma unroll
                for (int q = 0; q < step; q++)
                    sum[a] += numbers.of[q] * factor[q];
            }
        }
        for (int k = whole; k < ins; k++) {
            const Real factor = w[(long long)k * outs];
#pragma unroll
            for (int a = 0; a < atoms; a++)
                sum[a] += x[a * rowWidth + k] * factor;
        }
#pragma unroll
        for (int a = 0; a < atoms; a++)
            out[a * rowWidth + column] = sum[a];
    }
}

// A warp owns `together` tiles of 16 columns, for all atoms, in tiles of 8: columns are the rows of A, atoms the
// columns of B (tensor.cuh). Weights as in dense_layout.h, rows of atoms without bank conflicts (atomRowWidth); `deep`
// steps of 8 rows of weights are read ahead of their use.
template <int atomTiles, int together, int deep>
__device__ inline void denseByTiles(const Real *in, int ins, const Real *weight, const Real *bias, int outs, int blocks,
                                    Real *out) {
    struct alignas(16) Numbers {
        Real of[4];
    };
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const int rest = denseRest(outs), whole = outs - rest, tiles = denseTiles(outs), numSteps = denseSteps(ins);
    const int runs = (tiles + together - 1) / together, size = denseNumbers(ins, outs);
    for (int task = warp; task < blocks * runs; task += warps) {
        int block = 0, run = task; // few subtractions: a division is some thirty instructions
        for (; run >= runs; run -= runs)
            block++;
        const Real *x = in + block * ins;
        const Numbers *w[together];
        float sum[together][atomTiles][4];
#pragma unroll
        for (int p = 0; p < together; p++) {
            const int tile = run * together + p;
            // one tile too many is computed like the last, and not taken
            w[p] = reinterpret_cast<const Numbers *>(weight + block * size) +
                   (tile < tiles ? tile : tiles - 1) * numSteps * 32 + lane;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int column = tile * 16 + half * 8 + g;
                const Real start = bias && column < whole ? bias[block * outs + column] : Real(0);
#pragma unroll
                for (int n = 0; n < atomTiles; n++)
                    sum[p][n][2 * half] = sum[p][n][2 * half + 1] = start;
            }
        }
        // Tensor cores cut sums off, ordinary additions round them: each step's sums are added by the latter, which
        // makes the errors those of float32 (tests/cuda/test_dense.py).
        auto step = [&](int k, auto partial) {
            constexpr bool isPartial = decltype(partial)::value; // rows beyond the last have weights, zero, and no x
            Fragment<4> a[together];
#pragma unroll
            for (int p = 0; p < together; p++) {
                const Numbers numbers = w[p][4 * k];
#pragma unroll
                for (int q = 0; q < 4; q++)
                    a[p].set(q, numbers.of[q]);
            }
#pragma unroll
            for (int n = 0; n < atomTiles; n++) {
                Fragment<2> b;
#pragma unroll
                for (int q = 0; q < 2; q++)
                    b.set(q, !isPartial || k + t + 4 * q < ins ? x[(8 * n + g) * rowWidth + k + t + 4 * q] : Real(0));
#pragma unroll
                for (int p = 0; p < together; p++) {
                    float part[4] = {0, 0, 0, 0};
                    multiplyTile(a[p], b, part);
#pragma unroll
                    for (int r = 0; r < 4; r++)
                        sum[p][n][r] += part[r];
                }
            }
        };
        int k = 0;
        auto steps = [&](auto count) {
            constexpr int n = decltype(count)::value;
            for (; k + 8 * n <= ins; k += 8 * n)
#pragma unroll
                for (int s = 0; s < n; s++)
                    step(k + 8 * s, Constant<0>());
        };
        steps(Constant<deep>());
        if (deep > 4)
            steps(Constant<4>());
        steps(Constant<1>());
        if (k < ins)
            step(k, Constant<1>());
#pragma unroll
        for (int p = 0; p < together; p++)
#pragma unroll
            for (int r = 0; r < 4; r++) {
                const int column = (run * together + p) * 16 + r / 2 * 8 + g;
                if (column < whole)
#pragma unroll
                    for (int n = 0; n < atomTiles; n++)
                        out[(8 * n + 2 * t + r % 2) * rowWidth + block * outs + column] = sum[p][n][r];
            }
    }
    // A warp owns a column of the rest, the last warps first: they had fewer tiles. Lanes are rows of weights.
    for (int task = warps - 1 - warp; task < blocks * rest; task += warps) {
        int block = 0, column = task;
        for (; column >= rest; column -= rest)
            block++;
        const Real *x = in + block * ins, *w = weight + block * size + tiles * numSteps * 128 + column * ins;
        Real sum[8 * atomTiles];
#pragma unroll
        for (int a = 0; a < 8 * atomTiles; a++)
            sum[a] = 0;
#pragma unroll 4
        for (int k = lane; k < ins; k += 32) {
            const Real factor = w[k];
#pragma unroll
            for (int a = 0; a < 8 * atomTiles; a++)
                sum[a] += x[a * rowWidth + k] * factor;
        }
        const int place = block * outs + whole + column;
        const Real start = bias ? bias[place] : Real(0);
#pragma unroll
        for (int a = 0; a < 8 * atomTiles; a++) {
            const Real total = start + warpSum(sum[a]);
            if (lane == 0)
                out[a * rowWidth + place] = total;
        }
    }
}

template <int atoms>
__device__ inline void denseOf(const Real *in, int ins, const Real *weight, const Real *bias, int outs, int blocks,
                               Real *out) {
    if constexpr (useTensorCores && atoms == 24) // as atomThreads() has it: few warps, and many
        denseByTiles<3, 2, 4>(in, ins, weight, bias, outs, blocks, out);
    else if constexpr (useTensorCores)
        denseByTiles<atoms / 8, 1, 8>(in, ins, weight, bias, outs, blocks, out);
    else
        denseByColumns<atoms>(in, ins, weight, bias, outs, blocks, out);
}

// For each of the block's atoms a and columns o of `blocks` blocks: out[a][o] = bias[o] + sum_k in[a][k] weight[k][o],
// where block b of the columns reads block b of `in`. atoms: rows of the block, one of what atomsPerBlock() says; sums
// have the same order for each. in, out: different rows in shared memory, the former complete before the call; weight:
// global, [blocks][ins][outs], on tensor cores in the layout of dense_layout.h; bias: [blocks * outs] or null. The
// caller synchronises. One function for all products: written out wherever it is called, it takes minutes to compile.
__device__ __noinline__ void dense(int atoms, const Real *in, int ins, const Real *weight, const Real *bias, int outs,
                                   int blocks, Real *out) {
    if constexpr (mostAtoms > 8)
        if (atoms == 8)
            return denseOf<8>(in, ins, weight, bias, outs, blocks, out);
    if constexpr (mostAtoms > 16)
        if (atoms == 16)
            return denseOf<16>(in, ins, weight, bias, outs, blocks, out);
    denseOf<mostAtoms>(in, ins, weight, bias, outs, blocks, out);
}

// f(number, atom, column, place) for the first `width` columns of all rows of the block, neighboring threads side by
// side: `place` is where a number stands in the block's rows, `number` where in [N][width], -1 beyond the last atom.
template <class Function> __device__ inline void forEachNumber(const AtomBlock &block, int width, Function f) {
    for (int k = threadIdx.x; k < block.rows * width; k += blockDim.x) {
        const int a = k / width, column = k - a * width;
        f(a < block.count ? (long long)block.first * width + k : -1, a, column, a * rowWidth + column);
    }
}

// block.x += rows, features only.
__device__ inline void addRows(const AtomBlock &block, const Real *rows) {
    forEachNumber(block, numFeatures, [&](long long, int, int, int place) { block.x[place] += rows[place]; });
}

} // namespace cuda
} // namespace so3krates
