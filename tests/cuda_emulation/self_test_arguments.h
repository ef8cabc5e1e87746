#pragma once
// Arguments of the kernels of self_test.cuh.

struct SelfTestArguments {
    double *out;
    const double *in;
    int mode, length;
};
