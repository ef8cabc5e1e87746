// dense() by itself, for any widths.

#include "cuda/device/dense.cuh"
#include "dense_test_arguments.h"

using namespace so3krates::cuda;

extern "C" __global__ void so3kDense(DenseTestArguments a) {
    SO3K_DYNAMIC_SHARED(Real, shared);
    const AtomBlock block = atomBlock(shared, a.numAtoms, a.atomsPerBlock);
    loadRows(block, a.in, a.blocks * a.ins, block.x);
    __syncthreads();
    dense(block.rows, block.x, a.ins, a.weight, a.bias, a.outs, a.blocks, block.a);
    __syncthreads();
    storeRows(block, block.a, a.blocks * a.outs, a.out);
}
