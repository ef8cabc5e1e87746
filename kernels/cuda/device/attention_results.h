// See attention_results.cuh.
#pragma once

namespace so3krates {
namespace cuda {

template <class T> struct AttentionResultArguments {
    int numEv, numCoordinates; // N M, 3 N; the latter 0: no gradients
    const T *evIn, *evAttended;
    T *evMessage;
    const double *forces;
    double *gradient;
};

} // namespace cuda
} // namespace so3krates
