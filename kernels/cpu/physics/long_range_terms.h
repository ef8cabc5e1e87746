#pragma once
// What goes into and comes out of the long-range kernel.

#include <cstdint>

namespace so3krates::cpu {

// Arrays that are read in vectors go on beyond the last place by this much: the longest vector.
constexpr int longRangeSlack = 16;

// Coordinates of which differences are taken. Single precision: whole multiples of a small length modulo 2^32, which
// gives the difference of two near atoms to 3e-8 Å (at a cutoff of 12 Å) wherever they are, for one subtraction.
template <class T> struct LongRangeCoordinate;
template <> struct LongRangeCoordinate<float> {
    using Type = uint32_t;
};
template <> struct LongRangeCoordinate<double> {
    using Type = double; // Å, the multiples' length is 1
};

// What is the same for all pairs, and atom data by place: the order of the cells if there is a cutoff, else as they
// come.
template <class T> struct LongRangeTerms {
    using Coordinate = typename LongRangeCoordinate<T>::Type;
    bool electrostatics, dispersion, hasCutoff;
    T cutoff, sigma, electrostaticsOn, valueAtCutoff, slopeAtCutoff, dispersionOn, gammaScale;
    const double *positions[3];       // [places] Å; without cutoff
    const Coordinate *coordinates[3]; // [places + a vector]; with a cutoff
    const T *charge;                  // [places + a vector] e
    const T *ratio;                   // [places] Hirshfeld ratios
    const T *freePolarizability;      // [places] alpha, a0^3
    const T *polarizability;          // [places + a vector] alpha h, a0^3
    const T *alphaSquareOverC6;       // [places + a vector] of the free atom; infinite if it has no dispersion
};

// Places that are looked at together; with a cutoff, seen through one image of the box.
template <class T> struct LongRangeRun {
    int first, count;
    typename LongRangeCoordinate<T>::Type shift[3];
};

// The candidates of one atom. unit: Å per unit of the coordinates.
template <class T> struct LongRangeNeighbors {
    const LongRangeRun<T> *runs;
    int numRuns;
    T unit;
};

// What one atom gets: half of each pair's energy, the whole derivative.
struct LongRangeResult {
    double electrostaticEnergy = 0, dispersionEnergy = 0; // eV
    double gradient[3] = {0, 0, 0};                       // dE/dx_i, eV/Å
    double chargeGradient = 0, ratioGradient = 0;         // eV/e, eV
    double strain[6] = {0, 0, 0, 0, 0, 0};                // eV; half of sum g_a r_b: xx, yy, zz, yz, xz, xy
};

} // namespace so3krates::cpu
