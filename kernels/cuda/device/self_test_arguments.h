// See self_test.cuh.
#pragma once

namespace so3krates {
namespace cuda {

struct SelfTestArguments {
    const double *in; // [n]
    double *out;      // [n]
    double factor;
    int n;
};

} // namespace cuda
} // namespace so3krates
