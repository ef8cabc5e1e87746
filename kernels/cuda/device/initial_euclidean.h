// Arguments of the kernels in initial_euclidean.cuh.
#pragma once

#include "cuda/device/arguments.h"

namespace so3krates {
namespace cuda {

template <class T> struct InitialEuclideanArguments {
    Atoms atoms;
    NeighborMatrix edges;
    double cutoff; // Å
    T scale;       // 1 / average number of neighbors
    T *ev;         // [N][M] forward: written
    // the way back
    const T *evGradient;     // [N][M]
    double *forces, *strain; // as in AttentionArguments
};

} // namespace cuda
} // namespace so3krates
