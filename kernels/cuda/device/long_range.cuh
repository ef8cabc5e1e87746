// Electrostatics and dispersion of one atom with all its long-range neighbors, with the derivatives by charge and
// Hirshfeld ratio that seed the way back through the network (docs/theory.md, "Physical terms").
#pragma once

#include "cuda/device/switching.cuh"
#include "cuda/device/zbl.cuh"

namespace so3krates {
namespace cuda {

constexpr double bohr = 0.5291772105638411;    // Å
constexpr double hartree = 27.211386024367243; // eV

// Sums over pairs: half of each pair's energy, the whole derivatives.
template <class T> struct LongRangeSums {
    T electrostatics = 0, dispersion = 0, charge = 0, ratio = 0, force[3] = {0, 0, 0}, strain[6] = {0, 0, 0, 0, 0, 0};

    // Adds the other's sums, and empties it.
    template <class Other> __device__ void take(LongRangeSums<Other> &other) {
        electrostatics += other.electrostatics;
        dispersion += other.dispersion;
        charge += other.charge;
        ratio += other.ratio;
#pragma unroll
        for (int k = 0; k < 3; k++)
            force[k] += other.force[k];
#pragma unroll
        for (int k = 0; k < 6; k++)
            strain[k] += other.strain[k];
        other = LongRangeSums<Other>();
    }
};

// Pairs that a lane adds up in Real before their sum is added in double: additions in double are slow on many GPUs, and
// sums of so few terms lose next to nothing.
constexpr int longRangeRun = 8;

// ke q_j [V(r) - V(r_lr) - (1 - S(r)) V'(r_lr) (r - r_lr)] with V(r) = erf(r/sigma)/r, that is, the pair's energy over
// q_i; dE/dr is q_i times slope.
__device__ inline Real electrostaticPair(const PairArguments<Real> &a, Real r, Real chargeJ, Real &slope) {
    const Real inverse = 1 / r, scaled = r / a.sigma, gauss = exponential(-(scaled * scaled));
    const Real error = errorFunction(scaled);
    Real value = error * inverse;
    slope = (Real(1.1283791670955126) * scaled * gauss - error) * inverse * inverse; // 2/sqrt(pi)
    if (a.hasCutoff) {
        Real switchSlope;
        const Real s = switchFunction(r, a.electrostaticsOn, a.cutoff, switchSlope);
        value -= a.valueAtCutoff + (1 - s) * a.slopeAtCutoff * (r - a.cutoff);
        slope += a.slopeAtCutoff * (switchSlope * (r - a.cutoff) - (1 - s));
    }
    const Real other = chargeJ * Real(coulombConstant);
    slope *= other;
    return other * value;
}

// -E_h C6_ij S(r) [1/(R^6+p^6) + 10 s^2/(R^8+p^8) + 122.5 s^4/(R^10+p^10)] with C6_ij = c6 h_i h_j exactly: the
// combination rule is homogeneous in each ratio. s and p depend on u = ((alpha_i + alpha_j)/2)^(1/7), so on h_i.
// Energy, dE/dr and dE/dh_i.
__device__ inline Real dispersionPair(const PairArguments<Real> &a, Real r, Real c6, Real ratioI, Real ratioJ,
                                      Real mean, Real freePolarizabilityI, Real &slope, Real &ratioSlope) {
    constexpr double fine = 2.552796100231019; // alpha_fs^(-4/21)
    const Real toBohr = Real(1 / bohr);
    slope = ratioSlope = 0;
    if (r * toBohr > 1000) // below 1e-14 eV, and R^10 would leave float's range further out
        return 0;
    // Ratios are absolute values and may vanish: keep the seventh root away from 0.
    const Real polarizability = mean > Real(1e-6) ? mean : Real(1e-6);
    const Real u = seventhRoot(polarizability), rho = Real(fine) * u;
    const Real s = Real(-0.00433008) + rho * (Real(0.24428889) + rho * (Real(0.04125273) + rho * Real(-0.00078893)));
    const Real sSlope = Real(fine) * (Real(0.24428889) + rho * (Real(2 * 0.04125273) + rho * Real(-3 * 0.00078893)));
    const Real pSlope = a.gammaScale * Real(2 * 2.54), p = pSlope * u;
    const Real p2 = p * p, p4 = p2 * p2, p6 = p4 * p2, R = r * toBohr, R2 = R * R, R4 = R2 * R2, R6 = R4 * R2;
    const Real s2 = s * s, s4 = s2 * s2;
    const Real x = 1 / (R6 + p6), y = 1 / (R4 * R4 + p4 * p4), z = 1 / (R6 * R4 + p6 * p4);
    const Real x2 = x * x, y2 = 10 * s2 * y * y, z2 = Real(122.5) * s4 * z * z;
    const Real bracket = x + 10 * s2 * y + Real(122.5) * s4 * z;
    const Real bracketR = -(6 * R4 * R * x2 + 8 * R6 * R * y2 + 10 * R6 * R2 * R * z2);
    const Real bracketP = -(6 * p4 * p * x2 + 8 * p6 * p * y2 + 10 * p6 * p2 * p * z2);
    const Real bracketS = 20 * s * y + 490 * s2 * s * z;
    Real switchSlope = 0, f = 1;
    if (a.hasCutoff)
        f = switchFunction(r, a.dispersionOn, a.cutoff, switchSlope);
    const Real perRatio = -Real(hartree) * c6 * ratioJ, factor = perRatio * ratioI;
    slope = factor * (f * bracketR * toBohr + switchSlope * bracket);
    const Real uSlope = bracketP * pSlope + bracketS * sSlope;
    ratioSlope =
        perRatio * f * bracket + factor * f * uSlope * u / (7 * polarizability) * (Real(0.5) * freePolarizabilityI);
    return factor * f * bracket;
}

__device__ inline void longRangePair(const PairArguments<Real> &a, int i, int j, const double *shift,
                                     LongRangeSums<Real> &sums) {
    const double *xi = a.atoms.wrapped + 3LL * i, *xj = a.atoms.wrapped + 3LL * j;
    Real r[3]; // differences in double: atoms may be far from the origin
    for (int k = 0; k < 3; k++)
        r[k] = Real(xj[k] - xi[k] + (shift ? shift[k] : 0));
    const Real distance = squareRoot(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
    Real along = 0, slope, ratioSlope; // along: dE/dr
    if (a.electrostatics) {
        const Real value = electrostaticPair(a, distance, a.charge[j], slope), charge = a.charge[i];
        sums.electrostatics += Real(0.5) * charge * value;
        sums.charge += value;
        along += charge * slope;
    }
    if (a.dispersion) {
        const int species = a.species[i];
        const Real energy = dispersionPair(a, distance, a.c6[species * a.numSpecies + a.species[j]], a.ratio[i],
                                           a.ratio[j], Real(0.5) * (a.polarizability[i] + a.polarizability[j]),
                                           a.freePolarizability[species], slope, ratioSlope);
        sums.dispersion += Real(0.5) * energy;
        sums.ratio += ratioSlope;
        along += slope;
    }
    const Real g = along / distance;
    for (int k = 0; k < 3; k++)
        sums.force[k] += g * r[k];
    addStrain(sums.strain, Real(0.5) * g, r);
}

// A lane's share of receiver i: every 32nd of its neighbors. Sums in Real over longRangeRun pairs, in double beyond.
// Reads about 40 bytes per neighbor.
__device__ inline void longRangeOfLane(const PairArguments<Real> &a, int i, int lane, LongRangeSums<double> &sums) {
    LongRangeSums<Real> run;
    int inRun = 0;
    auto add = [&](int j, const double *shift) {
        longRangePair(a, i, j, shift, run);
        if (++inRun % longRangeRun == 0)
            sums.take(run);
    };
    const int molecule = a.atoms.molecule[i];
    if (a.neighbors.count) {
        const double *shifts = a.atoms.shifts + 3LL * a.atoms.firstImage[molecule];
        for (int k = lane; k < a.neighbors.count[i]; k += 32) {
            const long long edge = (long long)i * a.neighbors.capacity + k;
            add(a.neighbors.senders[edge], shifts + 3LL * a.neighbors.images[edge]);
        }
    } else {
        for (int j = a.atoms.offsets[molecule] + lane; j < a.atoms.offsets[molecule + 1]; j += 32)
            if (j != i)
                add(j, nullptr);
    }
    sums.take(run);
}

} // namespace cuda
} // namespace so3krates
