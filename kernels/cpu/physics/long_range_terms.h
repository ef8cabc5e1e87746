#pragma once
// What goes into and comes out of the long-range kernel.

namespace so3krates::cpu {

// Atom data by index, and what is the same for all pairs.
template <class T> struct LongRangeTerms {
    bool electrostatics, dispersion, hasCutoff;
    T cutoff, sigma, electrostaticsOn, valueAtCutoff, slopeAtCutoff, dispersionOn, gammaScale;
    const double *positions;     // [N][3] Å, wrapped
    const T *charge;             // [N] e
    const T *ratio;              // [N] Hirshfeld ratios
    const T *polarizability;     // [N] alpha_free[Z] h, a0^3
    const int *species;          // [N]
    const T *freePolarizability; // [species] a0^3
    const T *c6;                 // [species][species] K = C6_ij / (h_i h_j), Hartree a0^6
    int numSpecies;
};

// What one atom gets: half of each pair's energy, the whole derivative.
struct LongRangeResult {
    double electrostaticEnergy = 0, dispersionEnergy = 0; // eV
    double gradient[3] = {0, 0, 0};                       // dE/dx_i, eV/Å
    double chargeGradient = 0, ratioGradient = 0;         // eV/e, eV
    double strain[6] = {0, 0, 0, 0, 0, 0};                // eV; half of sum g_a r_b: xx, yy, zz, yz, xz, xy
};

// One atom's neighbors: a list with images (or none), or without a list (null) the atoms first, first + 1, ...
struct LongRangeNeighbors {
    const int *list = nullptr, *images = nullptr;
    const double *imageShifts = nullptr; // [images][3] Å
    int first = 0, count = 0;
};

} // namespace so3krates::cpu
