// Arguments of the kernels in first_layer.cuh.
#pragma once

#include "cuda/device/arguments.h"

namespace so3krates {
namespace cuda {

constexpr int firstLayerWarps = 2;    // receivers per block
constexpr int firstLayerKinds = 8;    // of atoms, at most
constexpr int firstLayerMostRow = 64; // numbers: what the kernels' shared memory holds

template <class T> struct FirstLayerArguments {
    Atoms atoms;
    NeighborMatrix edges;
    double cutoff; // Å
    SplineGrid grid;
    int tableRow;
    const T *table;     // [slots][slots][intervals][6][row], radial/first_layer_tables.h
    const int *slot;    // [kinds] where a kind's tables are
    const int *kind;    // [N] numbered as they appear, so that sums over kinds have one order
    const int *example; // [kinds] an atom of this kind
    int numKinds, numSlots;
    const T *values;          // [N][F] v of the x attention, which depends on the kind alone
    const T *initialFeatures; // [N][F] x at the layer's input
    T *features;              // [N][F] x + message, written
    T *evAttended;            // [N][M] written
    // the way back
    const T *evGradient;     // [N][M] dE/d(evAttended)
    const T *products;       // [N][kinds][H] dE/d(message) . v per head, of so3kAtomBackward
    double *forces, *strain; // as in AttentionArguments
};

} // namespace cuda
} // namespace so3krates
