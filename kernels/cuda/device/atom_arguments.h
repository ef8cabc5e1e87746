// What the per-atom kernels get, beside arguments.h. Plain types only, for the host (C++), NVRTC and the emulation.
// Rows are not padded; E hidden units of the energy head, Z hidden units of the Hirshfeld head, B molecules.
#pragma once

#include "cuda/device/arguments.h"
#include "cuda/device/neighbor_arguments.h"

namespace so3krates {
namespace cuda {

// Blocks of the per-atom kernels: a few atoms' rows in shared memory, weights streamed past them.
constexpr int atomThreads = 128;
constexpr int sharedMemoryLimit = 48 * 1024; // what every GPU gives a block without being asked

constexpr int largest(int a, int b) { return a > b ? a : b; }
// Numbers from one row to the next: the widest row any per-atom kernel holds, and 4 more than a multiple of 8, so that
// eight rows' numbers k to k + 3 lie in different banks of shared memory.
constexpr int atomRowWidth(int features, int degrees, int energyHidden, int hirshfeldHidden) {
    const int widest = largest(features + degrees, largest(energyHidden, hirshfeldHidden));
    return (widest + 3) / 8 * 8 + 4;
}
// 24, so that a weight is used that often, or fewer if three rows per atom do not fit in shared memory.
constexpr int atomsPerBlock(int rowWidth, int bytesPerNumber) {
    int atoms = 24;
    while (atoms > 1 && 3 * atoms * rowWidth * bytesPerNumber > sharedMemoryLimit)
        atoms = atoms > 8 ? atoms - 8 : atoms / 2;
    return atoms;
}

template <class T> struct HeadWeights { // matrices [in][out]; Back: transposed; null where the model has none
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

// so3kProject: q, k, v of a layer. so3kProjectBackward: their gradients back to the features.
template <class T> struct ProjectArguments {
    int numAtoms;
    LayerWeights<T> weights;
    LayerState<T> state;
    const T *features; // [N][F]
    // the way back
    const T *queryXGradient, *keyXGradient, *valueXGradient, *queryEvGradient, *keyEvGradient; // [N][F]
    const T *evInGradient;                                                                     // [N][M]
    T *featureGradient;                                                                        // [N][F] added to
    T *evGradient;                                                                             // [N][M] added to
    int featuresMatter; // 0: only evGradient is wanted (first layer: its features are constants)
};

// so3kAtomForward and so3kAtomBackward: from the messages of a layer to its output, and q, k, v of the next.
template <class T> struct AtomArguments {
    int numAtoms;
    int last; // 1: there is no next layer
    LayerWeights<T> weights, nextWeights;
    LayerState<T> state, next;
    T *features;        // [N][F] messages added; overwritten by the layer's output
    T *featureGradient; // [N][F] dE/d(output), overwritten by dE/d(message to x)
    T *evGradient;      // [N][M] dE/d(ev at the output), overwritten by dE/d(evAttended)
};

// so3kHeadsForward and so3kHeadsBackward.
template <class T> struct HeadArguments {
    int numAtoms;
    const int *atomicNumbers; // [N]
    HeadWeights<T> weights;
    HeadState<T> state;
    const T *features;     // [N][F]
    double *networkEnergy; // [N] eV
    double *rawCharge;     // [N] e before charge conservation
    T *hirshfeld;          // [N]
    // the way back
    const int *molecule, *offsets;    // [N], [B+1]
    const double *chargeGradient;     // [N] dE/dq; null: none
    const double *chargeGradientSums; // [B] its sums over molecules
    const double *hirshfeldGradient;  // [N] dE/d(ratio); null: none
    T *featureGradient;               // [N][F] written
    T *evGradient;                    // [N][M] set to zero
};

// so3kConserveCharge: q = raw + (Q - sum raw)/N, and what the long range wants to know of each atom.
template <class T> struct ChargeArguments {
    int numAtoms;
    const int *molecule, *offsets;             // [N], [B+1]
    const double *totalCharge;                 // [B] e
    const double *rawCharge;                   // [N]; null: the model predicts no charges
    const double *rawChargeSums;               // [B]
    const T *hirshfeld;                        // [N]; null: 1
    const int *species;                        // [N]
    const T *freePolarizability;               // [species] a0^3; null: no dispersion
    const double *positions;                   // [N][3] Å as given
    double *charge;                            // [N] e
    double *dipole;                            // [N][3] charge times position, e Å
    double *hirshfeldRatio;                    // [N] `ratio`, for the caller
    T *chargeRounded, *ratio, *polarizability; // [N]
};

// so3kSums: sums of columns of doubles over runs of rows, run r from starts[r] to starts[r+1].
constexpr int maxSumColumns = 16;
constexpr int sumThreads = 128; // per run
struct SumArguments {
    int numRuns, numColumns;
    const int *starts;                   // [runs+1]
    const double *values[maxSumColumns]; // null: zeros
    int stride[maxSumColumns];           // numbers from one row to the next
    double *sums;                        // [runs][columns]
};

// so3kCheckEnergies
struct EnergyCheckArguments {
    int numMolecules, numParts, stride;
    int watched;                                      // 0: the host will not look at the status
    double *sums;                                     // [B][stride], the parts of the energy first
    ListStatus *status;                               // of the lists; nonFiniteEnergy is written
    int candidateCapacity, edgeCapacity, farCapacity; // of the lists
    int unused;                                       // as in NeighborMatrix
};

// so3kZbl
struct ZblArguments {
    Atoms atoms;
    NeighborMatrix edges;
    double cutoff;                 // Å, of the network
    double amplitude[4], decay[4]; // c_k (normalised), a_k D in 1/Å
    const double *charge;          // Z^p by atomic number
    double *energy;                // [N] eV, half of each pair
    double *forces, *strain;       // as in AttentionArguments; forces null: energies only
};

// so3kLongRange
template <class T> struct LongRangeArguments {
    Atoms atoms;
    NeighborMatrix neighbors; // count null: no cutoff, all atoms of the molecule
    int electrostatics, dispersion, hasCutoff;
    T cutoff, sigma, electrostaticsOn, valueAtCutoff, slopeAtCutoff, dispersionOn, gammaScale; // Å, 1/Å, 1/Å^2
    const T *charge, *ratio, *polarizability;                                                  // [N] e, -, a0^3
    const int *species;                                                                        // [N]
    const T *freePolarizability;                                                               // [species] a0^3
    const T *c6; // [species][species] C6_ij / (h_i h_j), Hartree a0^6
    int numSpecies;
    double *electrostaticEnergy, *dispersionEnergy; // [N] eV, half of each pair
    double *chargeGradient, *ratioGradient;         // [N] dE/dq, dE/d(ratio)
    double *forces, *strain;                        // added to; forces null: energies only, strain null: not wanted
};

} // namespace cuda
} // namespace so3krates
