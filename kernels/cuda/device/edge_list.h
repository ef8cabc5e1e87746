// See edge_list.cuh.
#pragma once

#include "cuda/device/neighbor_arguments.h"

namespace so3krates {
namespace cuda {

struct EdgeListArguments {
    int numAtoms;
    NeighborMatrix edges;
    const int *molecule; // [N]
    const SearchBox *boxes;
    const int *wraps;         // [N][3]
    const int *starts;        // [N] a receiver's first entry
    int *receivers, *senders; // [E]
    int *shifts;              // [E][3] box vectors, for the positions as given
};

} // namespace cuda
} // namespace so3krates
