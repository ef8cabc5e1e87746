#pragma once
// Everything one evaluation reads and writes, as plain pointers: what the kernels get. Owned by workspace.h.
// Canonical names and shapes (F, M, ... as in shape.h, padded; P pairs; N atoms; all Å, eV, e):
//
//   pairs      half list: each pair (i, j, image) of neighbors inside the cutoff once, sorted by i, then j, then image
//   tiles      contiguous runs of pairs that start at an atom's first pair; a tile's gradients are collected in rows
//              ("slots") of its own, one per atom it touches, so that no two threads add to the same number and sums
//              run in an order that does not depend on the number of threads
//   adjacency  the pairs of each atom from both sides: entry = 2 * pair + direction, direction 0 if the atom is i

#include "cpu/packed_model.h"

namespace so3krates::cpu {

struct PairLists {
    int numPairs = 0;
    const int *i = nullptr, *j = nullptr;         // [P]
    const double *shift = nullptr;                // [P][3] Å, r_ij = x_j + shift - x_i
    const int *slotI = nullptr, *slotJ = nullptr; // [P] slot rows
    int numTiles = 0;
    const int *tilePair = nullptr;                             // [tiles+1] first pair
    const int *tileSlot = nullptr;                             // [tiles+1] first slot row
    const int *adjacencyStart = nullptr, *adjacency = nullptr; // [N+1], [2P]
    const int *slotStart = nullptr, *slots = nullptr;          // [N+1], the slot rows that hold an atom's gradients
};

// The first layer's coefficients as splines, one table per pair of kinds of atoms (radial/first_layer_tables.h).
template <class T> struct FirstLayerView {
    static constexpr int mostRow = 128;
    const T *const *tables = nullptr; // [kind of i][kind of j], each [interval][order][row]: raw coefficients in the
                                      // order of Shape::alpha, scale and parity included, cutoff function not; null:
                                      // no tables, the general path
    const int *kind = nullptr;        // [N]
    int mostKinds = 0, row = 0;
};

// What each layer keeps for the way back.
template <class T> struct LayerState {
    T *attention;          // [N][attentionRow]: q, k, v
    T *qkSlope;            // [N][attentionRow] derivative of the q, k activation; null if it is the identity
    T *filter[2];          // [P][block total] the edge filters, and
    T *filterHiddenSlope;  // [P][2 S] what their way back needs; null: computed once more on the way back
    T *alpha, *alphaSlope; // [P][alphaRow] coefficients (cutoff, scale and parity of j<-i included), their d/dr
    T *evIn;               // [N][M] Euclidean variables at the layer's input
    T *evAttended;         // [N][M] after the attention block
    T *exchange;           // [N][D] the factors y of ev <- ev + y ev
    T *norm1, *norm2;      // [N][F] normalised rows (x - mean)/std
    T *norm1InverseStd, *norm2InverseStd;                         // [N]
    T *mlp1Slope, *mlp1HiddenSlope, *mlp2Slope, *mlp2HiddenSlope; // [N][F]
};

template <class T> struct Evaluation {
    const PackedModel<T> *model;
    PairLists pairs;
    int numAtoms;
    bool withGradient;

    const int *atomicNumbers; // [N]
    const double *positions;  // [N][3] wrapped into the box
    FirstLayerView<T> firstLayer;
    const T *initialFeatures; // [N][F]

    // per pair
    double *distance;     // [P]
    T *unit;              // [P][4] r_ij / d, 1/d
    T *cutoff;            // [P][2] f_c, f_c'
    T *harmonics;         // [P][M] Y_lm(unit)
    T *harmonicsGradient; // [P][M] dE/dY
    T *distanceGradient;  // [P] dE/dd at fixed Y
    T *pairGradient;      // [P][4] dE/dr_ij

    // per atom
    T *features;          // [N][F] x
    T *featureGradient;   // [N][F]
    T *messageGradient;   // [N][block[0].total] dE/d(message to x): featureGradient in the heads' layout
    T *evGradient;        // [N][M]
    T *slotGradients;     // [slots][gradientRow]
    LayerState<T> *layer; // [T]

    // heads
    double *networkEnergy;                            // [N] eV, shift included
    T *energySeed;                                    // [N][F] dE_network/dx
    T *rawCharge, *hirshfeld;                         // [N] before charge conservation; ratios
    T *chargeSlope;                                   // [N][F] activation slopes of the charge head's hidden layer
    T *hirshfeldSlope;                                // [N][hirshfeldPadded]
    T *hirshfeldSign;                                 // [N] sign inside the absolute value
    const double *chargeGradient, *hirshfeldGradient; // [N] dE/d(raw charge), dE/d(ratio); null: none
};

// Pairs and atoms are worked on in blocks that keep their intermediate rows in the first-level caches.
constexpr int pairBlock = 24;
constexpr int atomBlock = 12;

} // namespace so3krates::cpu
