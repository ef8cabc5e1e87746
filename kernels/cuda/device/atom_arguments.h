// What the per-atom kernels get, beside arguments.h. Plain types only, for the host (C++), NVRTC and the emulation.
// Rows are not padded; E hidden units of the energy head, Z hidden units of the Hirshfeld head, B molecules.
#pragma once

#include "cuda/device/arguments.h"
#include "cuda/device/neighbor_arguments.h"

namespace so3krates {
namespace cuda {

// Blocks of the per-atom kernels: a few atoms' rows in shared memory, weights streamed past them. With many atoms per
// block a weight is used often; with few of them a small system has blocks for more multiprocessors, and each ends
// sooner. Results do not depend on it: an atom's numbers are computed from its own row, always in the same order.
constexpr int sharedMemoryLimit = 48 * 1024; // what every GPU gives a block without being asked

constexpr int largest(int a, int b) { return a > b ? a : b; }
// Numbers from one row to the next: the widest row any per-atom kernel holds, and 4 more than a multiple of 8, so that
// eight rows' numbers k to k + 3 lie in different banks of shared memory.
constexpr int atomRowWidth(int features, int degrees, int energyHidden, int hirshfeldHidden) {
    const int widest = largest(features + degrees, largest(energyHidden, hirshfeldHidden));
    return (widest + 3) / 8 * 8 + 4;
}
// At most 24, or fewer if three rows per atom do not fit in shared memory: a multiple of 8, or less than 8.
constexpr int mostAtomsPerBlock(int rowWidth, int bytesPerNumber) {
    int atoms = 24;
    while (atoms > 1 && 3 * atoms * rowWidth * bytesPerNumber > sharedMemoryLimit)
        atoms = atoms > 8 ? atoms - 8 : atoms / 2;
    return atoms;
}
// The fewest, in steps of 8, with which every block has a multiprocessor for itself; else the most. All blocks read all
// weights: blocks of 8 on more than two thirds of the multiprocessors would wait for the L2 cache.
constexpr int atomsPerBlock(int numAtoms, int multiprocessors, int most) {
    for (int atoms = 8; atoms < most; atoms += 8)
        if (numAtoms <= (long long)atoms * (atoms == 8 ? 2 * multiprocessors / 3 : multiprocessors))
            return atoms;
    return most;
}
// Threads of a block. More of them for few atoms: such a block is alone and waits for its weights. 24 atoms keep a warp
// busy with two tiles of columns at once (dense.cuh), and several blocks share a multiprocessor.
constexpr int mostAtomThreads = 256;
constexpr int atomThreads(int atomsPerBlock) { return atomsPerBlock <= 16 ? mostAtomThreads : 128; }

template <class T> struct HeadWeights { // matrices as in LayerWeights; null where the model has none
    const T *energyHidden, *energyHiddenBias, *energyHiddenBack; // [F][E], [E], [E][F]
    const T *energyOut;                                          // [E], or [F] without a hidden layer
    T energyOutBias;
    const T *energyScale;                                        // by atomic number
    const double *energyShift;                                   // by atomic number, eV
    const T *chargeHidden, *chargeHiddenBias, *chargeHiddenBack; // [F][F], [F], [F][F]
    const T *chargeOut;                                          // [F]
    T chargeOutBias;
    const T *chargeShift;                                                 // by atomic number, e
    const T *hirshfeldHidden, *hirshfeldHiddenBias, *hirshfeldHiddenBack; // [F][Z], [Z], [Z][F]
    const T *hirshfeldOut, *hirshfeldOutBias, *hirshfeldOutBack;          // [Z][Z], [Z], [Z][Z]
    const T *hirshfeldShift;                                              // by atomic number
    const T *hirshfeldQuery;                                              // [rows][Z], 1/sqrt(Z) folded in
};

template <class T> struct HeadState { // what the heads keep for the way back; null if there is none
    T *energySeed;                    // [N][F] dE_network/dx
    T *chargeSlope;                   // [N][F]
    T *hirshfeldSlope;                // [N][Z]
    T *hirshfeldSign;                 // [N] sign inside the absolute value
};

// so3kStart: the first layer's input.
template <class T> struct StartArguments {
    int numAtoms;
    const T *initialFeatures; // [N][F]
    T *features;              // [N][F] written
    T *evIn;                  // [N][M] set to zero
};

// Numbers of atoms that are summed over their molecule: by way of its chunks, where it has several (so3kSums).
struct MoleculeTotal {
    const double *values;                // [N]
    const double *chunkSums;             // [chunks]
    const int *offsets, *moleculeChunks; // [B+1], [B+1] a molecule's first atom and first chunk
};

// Blocks of atoms; so3kProject: q, k, v of a layer.
template <class T> struct ProjectArguments {
    int numAtoms, atomsPerBlock;
    LayerWeights<T> weights;
    LayerState<T> state;
    const T *features; // [N][F]
};

// The heads, in so3kAtomForward and so3kAtomBackward of the last layer.
template <class T> struct HeadArguments {
    const int *atomicNumbers; // [N]
    HeadWeights<T> weights;
    HeadState<T> state;
    double *networkEnergy; // [N] eV
    double *rawCharge;     // [N] e before charge conservation
    T *hirshfeld;          // [N]
    // the way back
    const int *molecule;             // [N]
    MoleculeTotal chargeGradient;    // dE/dq; values null: none
    const double *hirshfeldGradient; // [N] dE/d(ratio); null: none
};

// What the way back of the first layer by kinds of atoms wants of its atoms (first_layer.cuh).
template <class T> struct FirstLayerProducts {
    const T *values;    // as in FirstLayerArguments
    const int *example; // as in FirstLayerArguments
    T *products;        // [N][kinds][H] messageGradient . v per head; null: not wanted
    int numKinds;
    int unused; // as in NeighborMatrix
};

// so3kAtomForward: from the messages of a layer to its output, and q, k, v of the next or the heads.
// so3kAtomBackward: from the gradients of the next layer's q, k, v or the heads to those of this layer's messages.
template <class T> struct AtomArguments {
    int numAtoms, atomsPerBlock;
    int last;   // 1: there is no next layer
    int unused; // as in NeighborMatrix
    LayerWeights<T> weights, nextWeights;
    LayerState<T> state, next;
    T *features; // [N][F] messages added; overwritten by the layer's output, unless it is the last
    HeadArguments<T> heads;
    // the way back
    const T *queryXGradient, *keyXGradient, *valueXGradient, *queryEvGradient, *keyEvGradient; // [N][F] of the next
    const T *evInGradient;                                                                     // [N][M] of the next
    T *featureGradient; // [N][F] dE/d(output) but for q, k, v (last layer: nothing); overwritten by dE/d(message to x)
    T *evGradient;      // [N][M] dE/d(ev at the output) likewise; overwritten by dE/d(evAttended)
    FirstLayerProducts<T> firstLayer;
};

// so3kAddEuclidean: rows += others.
template <class T> struct AddArguments {
    long long numbers;
    T *rows;
    const T *others;
};

// so3kConserveCharge: q = raw + (Q - sum raw)/N, and what the long range wants to know of each atom.
template <class T> struct ChargeArguments {
    const int *chunkStarts;                    // [chunks+1] first atom
    const int *molecule;                       // [N]
    MoleculeTotal rawCharge;                   // e; values null: the model predicts no charges
    const double *totalCharge;                 // [B] e
    const T *hirshfeld;                        // [N]; null: 1
    const int *species;                        // [N]
    const T *freePolarizability;               // [species] a0^3; null: no dispersion
    const double *positions;                   // [N][3] Å as given
    double *charge;                            // [N] e
    double *dipole;                            // [N][3] charge times position, e Å
    double *hirshfeldRatio;                    // [N] `ratio`, for the caller
    T *chargeRounded, *ratio, *polarizability; // [N]
};

// so3kSums: sums of columns of doubles over runs of rows, run r from starts[r] to starts[r+1]. A block for each.
constexpr int maxSumColumns = 16;
constexpr int sumThreads = 128; // per run and column, also in moleculeTotal()
struct SumArguments {
    int numRuns, numColumns;
    const int *starts;                   // [runs+1]
    const double *values[maxSumColumns]; // null: zeros
    int stride[maxSumColumns];           // numbers from one row to the next
    double *sums;                        // [runs][columns]
};

// so3kMoleculeSums: results of molecules, and whether they are any.
struct MoleculeSumArguments {
    int numColumns, numEnergies;                      // the parts of the energy come first
    const double *values[maxSumColumns];              // of atoms; null: zeros
    int stride[maxSumColumns];                        // numbers from one row to the next
    const double *chunkSums;                          // [chunks][columns]
    const int *offsets, *moleculeChunks;              // as in MoleculeTotal
    double *sums;                                     // [B][columns]
    ListStatus *status;                               // of the lists
    int candidateCapacity, edgeCapacity, farCapacity; // of the lists
    int numMolecules;
    int watched; // 0: the host will not look at the status
    int unused;  // as in NeighborMatrix
};

// The repulsion's part of so3kPairTerms.
struct ZblArguments {
    NeighborMatrix edges;
    double cutoff;                 // Å, of the network
    double amplitude[4], decay[4]; // c_k (normalised), a_k D in 1/Å
    const double *charge;          // Z^p by atomic number
    double *energy;                // [N] eV, half of each pair; null: no repulsion
};

// so3kPairTerms: repulsion, electrostatics and dispersion.
template <class T> struct PairArguments {
    Atoms atoms;
    ZblArguments zbl;
    NeighborMatrix neighbors; // count null: no cutoff, all atoms of the molecule
    int electrostatics, dispersion, hasCutoff;
    T cutoff, sigma, electrostaticsOn, valueAtCutoff, slopeAtCutoff, dispersionOn, gammaScale; // Å, 1/Å, 1/Å^2
    const T *charge, *ratio, *polarizability;                                                  // [N] e, -, a0^3
    const int *species;                                                                        // [N]
    const T *freePolarizability;                                                               // [species] a0^3
    const T *c6; // [species][species] C6_ij / (h_i h_j), Hartree a0^6
    int numSpecies;
    double *electrostaticEnergy, *dispersionEnergy; // [N] eV, half of each pair; null: neither
    double *chargeGradient, *ratioGradient;         // [N] dE/dq, dE/d(ratio)
    double *forces, *strain; // as in AttentionArguments, written; forces null: energies only, strain null: not wanted
};

} // namespace cuda
} // namespace so3krates
