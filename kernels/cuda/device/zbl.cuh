// Ziegler-Biersack-Littmark repulsion of atoms closer than 1.5 Å (docs/theory.md, "Physical terms"): few pairs, so in
// double throughout.
#pragma once

#include "cuda/device/atom_arguments.h"
#include "cuda/device/cutoff.cuh"
#include "cuda/device/switching.cuh"
#include "cuda/device/warp.cuh"

namespace so3krates {
namespace cuda {

constexpr double coulombConstant = 14.399645351950548; // eV Å / e^2
constexpr double zblSwitchEnd = 1.5;                   // Å

// Energy of the pair (both directions) at distance d, and dE/dd.
__device__ inline double zblPair(const ZblArguments &a, int zi, int zj, double d, double &slope) {
    double switchSlope, cutoffSlope;
    const double s = switchFunction(d, 0.0, zblSwitchEnd, switchSlope), f = cutoffValue(d, a.cutoff, cutoffSlope);
    const double charge = a.charge[zi] + a.charge[zj];
    double screening = 0, screeningSlope = 0;
    for (int k = 0; k < 4; k++) {
        const double decay = a.decay[k] * charge, term = a.amplitude[k] * exponential(-decay * d);
        screening += term;
        screeningSlope -= decay * term;
    }
    const double coulomb = coulombConstant * zi * zj / d;
    slope = coulomb * (switchSlope * f * screening + s * cutoffSlope * screening + s * f * screeningSlope -
                       s * f * screening / d);
    return coulomb * s * f * screening;
}

// The energy of receiver i: half of each of its pairs that this lane looks at; adds their whole force, half of the
// strain. Lanes of a warp over its neighbors; reads the list once, 3 doubles per neighbor.
__device__ inline double zblOfLane(const ZblArguments &a, const Atoms &atoms, int i, int lane, double force[3],
                                   double strain[6]) {
    const double *xi = atoms.wrapped + 3LL * i;
    const double *shifts = atoms.shifts + 3LL * atoms.firstImage[atoms.molecule[i]];
    double energy = 0;
    for (int k = lane; k < a.edges.count[i]; k += 32) {
        const long long edge = (long long)i * a.edges.capacity + k;
        const int j = a.edges.senders[edge];
        const double *xj = atoms.wrapped + 3LL * j, *shift = shifts + 3LL * a.edges.images[edge];
        const double r[3] = {xj[0] - xi[0] + shift[0], xj[1] - xi[1] + shift[1], xj[2] - xi[2] + shift[2]};
        const double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
        if (square >= zblSwitchEnd * zblSwitchEnd)
            continue;
        const double d = squareRoot(square);
        double slope;
        energy += 0.5 * zblPair(a, atoms.atomicNumbers[i], atoms.atomicNumbers[j], d, slope);
        const double g = slope / d;
        for (int x = 0; x < 3; x++)
            force[x] += g * r[x];
        addStrain(strain, 0.5 * g, r);
    }
    return energy;
}

} // namespace cuda
} // namespace so3krates
