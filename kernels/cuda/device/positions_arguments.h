// See positions.cuh.
#pragma once

namespace so3krates {
namespace cuda {

struct PositionsArguments {
    const char *source;
    long long strides[2]; // bytes from one atom, and from one component, to the next
    double *positions;    // [N][3]
    int numAtoms;
    int isSingle; // float, else double
};

} // namespace cuda
} // namespace so3krates
