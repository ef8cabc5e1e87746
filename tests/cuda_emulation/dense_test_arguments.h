#pragma once
// Arguments of the kernel of dense_test.cuh.

struct DenseTestArguments {
    int numAtoms, atomsPerBlock;
    int ins, outs, blocks;
    int unused;
    const float *in;     // [N][blocks * ins]
    const float *weight; // [blocks][ins][outs], or as in dense_layout.h
    const float *bias;   // [blocks * outs] or null
    float *out;          // [N][blocks * outs]
};
