// Rows of a few atoms in shared memory, and matrix products with weights from global memory: the one place where the
// per-atom kernels multiply matrices.
#pragma once

#include "cuda/device/atom_block.cuh"

namespace so3krates {
namespace cuda {

// For each of the block's atoms a and columns o of `blocks` blocks: take(a, o, bias[o] + sum_k in[a][k] weight[k][o]),
// where block b of the columns reads block b of `in`. in: shared memory, complete before the call; weight: global,
// [blocks][ins][outs]; bias: [blocks * outs] or null. A thread owns a column: every weight is read once per block of
// atoms, by neighboring threads side by side. `take` may write to rows other than `in`; the caller synchronises.
template <class Take>
__device__ inline void dense(const Real *in, int ins, const Real *weight, const Real *bias, int outs, int blocks,
                             Take take) {
    for (int column = threadIdx.x; column < blocks * outs; column += blockDim.x) {
        const int block = column / outs;
        const Real *w = weight + (long long)block * ins * outs + (column - block * outs);
        const Real *x = in + block * ins;
        Real sum[blockAtoms];
#pragma unroll
        for (int a = 0; a < blockAtoms; a++)
            sum[a] = bias ? bias[column] : Real(0);
        for (int k = 0; k < ins; k++) {
            const Real factor = w[(long long)k * outs];
#pragma unroll
            for (int a = 0; a < blockAtoms; a++)
                sum[a] += x[a * rowWidth + k] * factor;
        }
#pragma unroll
        for (int a = 0; a < blockAtoms; a++)
            take(a, column, sum[a]);
    }
}

} // namespace cuda
} // namespace so3krates
