// What the kernels get: plain structs, the same for the host (C++), NVRTC and the emulation. No header may be included
// here: NVRTC has none. T is float or double. Canonical names and shapes: N atoms, F features, H heads, D degrees,
// M = sum 2l+1, K radial functions, S spherical hidden width, L layers, B molecules. Rows are not padded.
// Å, eV, e. Positions are double throughout; differences are taken in double and rounded to T.
#pragma once

#include "cuda/device/spline_grid.h"

namespace so3krates {
namespace cuda {

// Neighbors of every atom, both directions listed: [N][capacity], the first count[i] entries in use, sorted by sender,
// then image, so that every sum has one order. shift = shifts[image] of the receiver's molecule.
struct NeighborMatrix {
    int *count;   // [N]
    int *senders; // [N][capacity]
    int *images;  // [N][capacity] index into shifts
    int capacity;
    int unused; // 0: without it there would be any number in its place, which the emulation may take for a pointer
};

struct Atoms {
    int numAtoms, numMolecules;
    const int *atomicNumbers; // [N]
    const int *molecule;      // [N]
    const int *offsets;       // [B+1]
    const double *positions;  // [N][3] as given, Å
    double *wrapped;          // [N][3] inside the boxes
    const double *shifts;     // [all images of all molecules][3] Å
    const int *firstImage;    // [B] a molecule's first row of shifts; its image at rest is firstImage + imagesAtRest
    const int *imageAtRest;   // [B] index within the molecule's rows
};

// One layer's weights. Matrices are [in][out], so that neighboring threads read neighboring numbers, or those of
// dense.cuh, on tensor cores, in the layout of dense_layout.h; Back: transposed.
template <class T> struct LayerWeights {
    // edge filters, index 0 for x and 1 for ev
    const T *radial0[2], *radial0Bias[2]; // [K][F], [F]
    const T *radial1[2], *radial1Bias[2]; // [F][F], [F]; the bias includes the spherical filter's, and all of it in a
                                          // first layer whose ev is zero
    const T *table[2];                    // [intervals][6][F] powers of t, biases as in radial1Bias; null: networks
    const T *spherical0[2], *spherical0Bias[2]; // [D][S] (1/sqrt(2l+1) folded in), [S]; null: no spherical filter
    const T *spherical1[2], *spherical1Back[2]; // [S][F], [F][S]
    // the tiled kernels' (tile_layout.h); null: they cannot compute this layer
    const T *jointTable;                          // [intervals][6][jointFunctions] powers of t
    const unsigned *tileForward[2], *tileBack[2]; // tileBack null: no spherical filter
    const T *tileRows;                            // [1+D] bound of what they multiply (TileWeights::rows)
    T tileUnscale;                                // what one in them stands for
    // matrices of dense.cuh from here on; [blocks][width in][width out]: q_x, k_x, q_ev, k_ev, v_x
    const T *project[5], *projectBack[5];
    const T *norm1Weight, *norm1Bias, *norm2Weight, *norm2Bias;                         // [F] or null
    const T *mlp1[2], *mlp1Bias[2], *mlp1Back[2], *mlp2[2], *mlp2Bias[2], *mlp2Back[2]; // [F][F], [F] or null
    const T *exchange, *exchangeBias, *exchangeBack;                                    // [F+D][F+D], [F+D]
};

// What a layer keeps for the way back.
template <class T> struct LayerState {
    T *queryX, *keyX, *valueX, *queryEv, *keyEv;                  // [N][F]
    T *queryXSlope, *keyXSlope, *queryEvSlope, *keyEvSlope;       // [N][F] or null (identity)
    T *evIn;                                                      // [N][M] at the layer's input
    T *evAttended;                                                // [N][M] after attention
    T *exchange;                                                  // [N][D] factors y
    T *norm1, *norm2;                                             // [N][F] normalised rows
    T *norm1InverseStd, *norm2InverseStd;                         // [N]
    T *mlp1Slope, *mlp1HiddenSlope, *mlp2Slope, *mlp2HiddenSlope; // [N][F]
};

// Attention of one layer, receiver by receiver. Nothing is kept per edge: the way back computes everything again.
template <class T> struct AttentionArguments {
    Atoms atoms;
    NeighborMatrix edges;
    LayerWeights<T> weights;
    LayerState<T> state;
    double cutoff; // Å
    SplineGrid grid;
    T messageScale[2];
    const double *basisParameters; // see device/radial_basis.cuh
    T *features;                   // [N][F] forward: x += message
    // the way back
    const T *messageGradient;                                                            // [N][F] dE/d(message to x)
    const T *evGradient;                                                                 // [N][M] dE/d(evAttended)
    T *queryXGradient, *keyXGradient, *valueXGradient, *queryEvGradient, *keyEvGradient; // [N][F] written
    T *evInGradient;  // [N][M] written: the part through the spherical filters
    int inputMatters; // 0: the five gradients and evInGradient are not wanted (first layer)
    double *forces;   // [N][3] eV/Å, added to
    double *strain;   // [N][6] sum of g_a r_b / 2 (xx, yy, zz, yz, xz, xy), added to; null: not wanted
};

} // namespace cuda
} // namespace so3krates
