#pragma once
// Parameters of the physical terms, ready for the kernels. Formulas: docs/theory.md, "Physical terms". Å, eV, e.

#include <vector>

#include "model/model.h"

namespace so3krates::cpu {

constexpr double coulombConstant = 14.399645351950548; // eV Å / e^2
constexpr double bohr = 0.5291772105638411;            // Å
constexpr double hartree = 27.211386024367243;         // eV
constexpr double zblSwitchEnd = 1.5;                   // Å

struct ZblParameters {
    bool present = false;
    double amplitude[4], decay[4]; // c_k (normalised), a_k D
    std::vector<double> charge;    // Z^p by atomic number
    explicit ZblParameters(const Model &model);
};

struct LongRangeParameters {
    bool electrostatics = false, dispersion = false;
    double cutoff = 0;                           // Å, infinity: none
    double sigma = 0;                            // Å
    double electrostaticsOn = 0;                 // Å, 0.45 cutoff: where the shift towards zero force begins
    double valueAtCutoff = 0, slopeAtCutoff = 0; // V(r_lr), V'(r_lr)
    double dispersionOn = 0;                     // Å, cutoff minus the switch's width
    double gammaScale = 0;
    std::vector<double> polarizability, c6; // free atoms by atomic number, atomic units; empty: no dispersion
    double freePolarizability(int z) const { return dispersion ? polarizability[z] : 0; }
    // Infinite for atoms without dispersion: then C6_ij = 0 (long_range.h).
    double alphaSquareOverC6(int z) const;
    LongRangeParameters(const Model &model, double cutoff, double switchWidth);
};

} // namespace so3krates::cpu
