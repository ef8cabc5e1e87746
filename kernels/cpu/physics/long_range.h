#pragma once
// Electrostatics and dispersion of one atom with all its long-range neighbors, with the derivatives that seed the way
// back through the network: dE/dq_i and dE/dh_i.
//
// Both terms of a pair, in Å, eV, e and atomic units where marked (docs/theory.md, "Physical terms"):
//   electrostatics  ke q_i q_j [V(r) - V(r_lr) - (1 - S_e(r)) V'(r_lr) (r - r_lr)],  V(r) = erf(r/sigma)/r
//   dispersion      -E_h C6_ij S_d(r) [1/(R^6+p^6) + 10 s^2/(R^8+p^8) + 122.5 s^4/(R^10+p^10)]
// C6_ij = 2 a_i a_j / (b_i + b_j) with a = alpha h and b = alpha^2/C6 of the free atom: the combination rule, whose
// ratios cancel in b. s and p depend on u = ((a_i + a_j)/2)^(1/7).

#include "cpu/physics/long_range_terms.h"
#include "cpu/physics/parameters.h"
#include "cpu/simd/math.h"
#include "cpu/simd/select.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// Neighbors of one atom, waiting until they fill a vector: r_ij in Å, and what the pair terms read of j.
template <class T> struct NeighborRows {
    static constexpr int size = 256; // a multiple of the lanes
    enum { X, Y, Z, Charge, Polarizability, AlphaSquareOverC6, count };
    T row[count][size + 2 * lanes<T>];
    int filled = 0;
};

// S(r; on, off) as in zbl.h and dS/dr, on vectors.
template <class T> SO3K_INLINE Vec<T> switchFunction(Vec<T> r, T on, T off, Vec<T> &slope) {
    const T tiny = T(1e-3); // exp(-1/tiny) is zero in T: nothing is lost by clamping there
    const T inverseWidth = T(1) / (off - on);
    Vec<T> c = minimum<T>(maximum<T>((r - on) * inverseWidth, broadcast<T>(tiny)), broadcast<T>(T(1) - tiny));
    Vec<T> u = T(1) - c, inverse = T(1) / (u * c), inverseU = c * inverse, inverseC = u * inverse;
    Vec<T> growth = exponential<T>(inverseU - inverseC);
    Vec<T> value = T(1) / (T(1) + growth);
    slope = -value * (growth * value) * (inverseU * inverseU + inverseC * inverseC) * inverseWidth;
    slope = r <= on || r >= off ? zero<T>() : slope;
    return r <= on ? broadcast<T>(T(1)) : r >= off ? zero<T>() : value;
}

template <class T> struct LongRangeSums {
    Vec<T> electrostatics = {}, dispersion = {}, gradient[3] = {}, charge = {}, ratio = {}, strain[6] = {};
};

// One atom's own part of the pair terms.
template <class T> struct LongRangeAtom {
    T charge, ratio, polarizability, freePolarizability, alphaSquareOverC6;
};

template <class T>
SO3K_INLINE void longRangeLanes(const LongRangeTerms<T> &t, const NeighborRows<T> &n, int start,
                                const LongRangeAtom<T> &atom, bool strain, LongRangeSums<T> &sums) {
    using Rows = NeighborRows<T>;
    Vec<T> x = load<T>(n.row[Rows::X] + start), y = load<T>(n.row[Rows::Y] + start),
           z = load<T>(n.row[Rows::Z] + start);
    Vec<T> r2 = x * x + y * y + z * z, r = squareRoot<T>(r2), inverse = T(1) / r;
    Vec<T> along = zero<T>(); // dE/dr
    if (t.electrostatics) {
        const T root = T(1.1283791670955126); // 2/sqrt(pi)
        Vec<T> scaled = r * (T(1) / t.sigma), gauss = exponential<T>(-(scaled * scaled));
        Vec<T> error = errorFunction<T>(scaled, gauss);
        Vec<T> value = error * inverse, slope = (root * scaled * gauss - error) * inverse * inverse;
        if (t.hasCutoff) {
            Vec<T> switchSlope, s = switchFunction<T>(r, t.electrostaticsOn, t.cutoff, switchSlope);
            value -= t.valueAtCutoff + (T(1) - s) * t.slopeAtCutoff * (r - t.cutoff);
            slope += t.slopeAtCutoff * (switchSlope * (r - t.cutoff) - (T(1) - s));
        }
        Vec<T> other = load<T>(n.row[Rows::Charge] + start) * T(coulombConstant), product = other * atom.charge;
        sums.electrostatics += product * value;
        sums.charge += other * value;
        along += product * slope;
    }
    if (t.dispersion) {
        const T toBohr = T(1 / bohr);
        // Ratios are absolute values and may vanish: keep the seventh root away from 0.
        Vec<T> other = load<T>(n.row[Rows::Polarizability] + start);
        Vec<T> polarizability = maximum<T>(T(0.5) * (atom.polarizability + other), broadcast<T>(T(1e-6)));
        Vec<T> root = inverseSeventhRoot<T>(polarizability), root2 = root * root, root6 = root2 * root2 * root2;
        Vec<T> u = polarizability * root6;
        constexpr double fine = 2.552796100231019; // alpha_fs^(-4/21)
        Vec<T> rho = T(fine) * u;
        Vec<T> s = T(-0.00433008) + rho * (T(0.24428889) + rho * (T(0.04125273) + rho * T(-0.00078893)));
        Vec<T> sSlope = T(fine) * (T(0.24428889) + rho * (T(2 * 0.04125273) + rho * T(-3 * 0.00078893))); // ds/du
        const T pSlope = t.gammaScale * T(2 * 2.54);
        Vec<T> p = pSlope * u, p2 = p * p, p4 = p2 * p2, p6 = p4 * p2;
        // Beyond 3000 a0 dispersion is nothing, but R^9 would overflow float32.
        Vec<T> R = minimum<T>(r * toBohr, broadcast<T>(T(3000))), R2 = R * R, R4 = R2 * R2, R6 = R4 * R2;
        Vec<T> s2 = s * s, s4 = s2 * s2;
        Vec<T> a = T(1) / (R6 + p6), b = T(1) / (R4 * R4 + p4 * p4), c = T(1) / (R6 * R4 + p6 * p4);
        Vec<T> a2 = a * a, b2 = T(10) * s2 * b * b, c2 = T(122.5) * s4 * c * c;
        Vec<T> bracket = a + T(10) * s2 * b + T(122.5) * s4 * c;
        Vec<T> bracketR = -(T(6) * R4 * R * a2 + T(8) * R6 * R * b2 + T(10) * R6 * R2 * R * c2);
        Vec<T> bracketP = -(T(6) * p4 * p * a2 + T(8) * p6 * p * b2 + T(10) * p6 * p2 * p * c2);
        Vec<T> bracketS = T(20) * s * b + T(490) * s2 * s * c;
        Vec<T> switchSlope = zero<T>(), f = broadcast<T>(T(1));
        if (t.hasCutoff && any<T>(r > t.dispersionOn))
            f = switchFunction<T>(r, t.dispersionOn, t.cutoff, switchSlope);
        Vec<T> perRatio =
            other * (T(-2 * hartree) * atom.freePolarizability) /
            (atom.alphaSquareOverC6 + load<T>(n.row[Rows::AlphaSquareOverC6] + start)); // -E_h C6_ij / h_i
        Vec<T> factor = perRatio * atom.ratio;
        sums.dispersion += factor * f * bracket;
        along += factor * (f * bracketR * toBohr + switchSlope * bracket);
        Vec<T> uSlope = bracketP * pSlope + bracketS * sSlope;
        sums.ratio +=
            perRatio * f * bracket + factor * f * uSlope * root6 * (T(0.5 / 7) * atom.freePolarizability); // du/dalpha
    }
    Vec<T> g = -along * inverse; // dE/dx_i = -dE/dr r_ij / r
    sums.gradient[0] += g * x;
    sums.gradient[1] += g * y;
    sums.gradient[2] += g * z;
    if (strain) { // g is -dE/dr / r
        sums.strain[0] -= g * x * x;
        sums.strain[1] -= g * y * y;
        sums.strain[2] -= g * z * z;
        sums.strain[3] -= g * y * z;
        sums.strain[4] -= g * x * z;
        sums.strain[5] -= g * x * y;
    }
}

// Takes the full vectors out of the rows.
template <class T>
SO3K_INLINE void takeNeighbors(const LongRangeTerms<T> &t, NeighborRows<T> &n, const LongRangeAtom<T> &atom,
                               bool strain, LongRangeSums<T> &sums) {
    int start = 0;
    for (; start + lanes<T> <= n.filled; start += lanes<T>)
        longRangeLanes<T>(t, n, start, atom, strain, sums);
    n.filled -= start;
    for (int c = 0; c < NeighborRows<T>::count; c++)
        store<T>(n.row[c], load<T>(n.row[c] + start));
}

// x[k] - center, in units. Differences of unsigned numbers are right modulo 2^32, so as signed numbers they are right.
SO3K_INLINE Vec<float> differences(const uint32_t *x, uint32_t center) {
    typedef uint32_t Unsigned __attribute__((vector_size(SO3KRATES_VECTOR_BYTES)));
    Unsigned v;
    __builtin_memcpy(&v, x, sizeof v);
    return __builtin_convertvector((Ints<float>)(v - center), Vec<float>);
}
SO3K_INLINE Vec<double> differences(const double *x, double center) { return load<double>(x) - center; }

// The neighbors inside the cutoff among the candidates.
template <class T>
SO3K_INLINE void pickNeighbors(const LongRangeTerms<T> &t, int i, const LongRangeNeighbors<T> &neighbors,
                               const LongRangeAtom<T> &atom, bool strain, LongRangeSums<T> &sums, NeighborRows<T> &n) {
    using Rows = NeighborRows<T>;
    const T limit = t.cutoff * t.cutoff;
    Ints<T> lane;
    for (int k = 0; k < lanes<T>; k++)
        lane[k] = k;
    for (int r = 0; r < neighbors.numRuns; r++) {
        const LongRangeRun<T> &run = neighbors.runs[r];
        typename LongRangeTerms<T>::Coordinate center[3];
        for (int a = 0; a < 3; a++)
            center[a] = t.coordinates[a][i] - run.shift[a];
        for (int k = 0; k < run.count; k += lanes<T>) {
            const int place = run.first + k;
            Vec<T> v[Rows::count];
            for (int a = 0; a < 3; a++)
                v[Rows::X + a] = differences(t.coordinates[a] + place, center[a]) * neighbors.unit;
            Vec<T> square = v[Rows::X] * v[Rows::X] + v[Rows::Y] * v[Rows::Y] + v[Rows::Z] * v[Rows::Z];
            // Only the atom itself is at no distance at all: others that near were refused by the neighbor list.
            Ints<T> near = (square < limit) & (square > T(0)) & (lane < run.count - k);
            v[Rows::Charge] = load<T>(t.charge + place);
            v[Rows::Polarizability] = load<T>(t.polarizability + place);
            v[Rows::AlphaSquareOverC6] = load<T>(t.alphaSquareOverC6 + place);
            T *to[Rows::count];
            for (int c = 0; c < Rows::count; c++)
                to[c] = n.row[c] + n.filled;
            n.filled += storeSelected<T, Rows::count>(near, v, to);
            if (n.filled >= Rows::size)
                takeNeighbors<T>(t, n, atom, strain, sums);
        }
    }
}

// All atoms of the runs, no cutoff.
template <class T>
SO3K_INLINE void takeAll(const LongRangeTerms<T> &t, int i, const LongRangeNeighbors<T> &neighbors,
                         const LongRangeAtom<T> &atom, bool strain, LongRangeSums<T> &sums, NeighborRows<T> &n) {
    using Rows = NeighborRows<T>;
    for (int r = 0; r < neighbors.numRuns; r++)
        for (int k = neighbors.runs[r].first; k < neighbors.runs[r].first + neighbors.runs[r].count; k++) {
            for (int a = 0; a < 3; a++)
                n.row[Rows::X + a][n.filled] = T(t.positions[a][k] - t.positions[a][i]);
            n.row[Rows::Charge][n.filled] = t.charge[k];
            n.row[Rows::Polarizability][n.filled] = t.polarizability[k];
            n.row[Rows::AlphaSquareOverC6][n.filled] = t.alphaSquareOverC6[k];
            if (++n.filled == Rows::size)
                takeNeighbors<T>(t, n, atom, strain, sums);
        }
}

// The atom at place i with its neighbors.
template <class T>
void longRangeAtom(const LongRangeTerms<T> &t, int i, const LongRangeNeighbors<T> &neighbors, bool strain,
                   LongRangeResult &result) {
    using Rows = NeighborRows<T>;
    const LongRangeAtom<T> atom = {t.charge[i], t.ratio[i], t.polarizability[i], t.freePolarizability[i],
                                   t.alphaSquareOverC6[i]};
    LongRangeSums<T> sums;
    Rows rows;
    if (t.hasCutoff)
        pickNeighbors<T>(t, i, neighbors, atom, strain, sums, rows);
    else
        takeAll<T>(t, i, neighbors, atom, strain, sums, rows);
    takeNeighbors<T>(t, rows, atom, strain, sums);
    if (rows.filled) {
        // Empty lanes: somewhere, without charge and polarizability.
        const T nothing[Rows::count] = {T(1), T(1), T(1), T(0), T(0), T(1)};
        for (int c = 0; c < Rows::count; c++)
            for (int k = rows.filled; k < lanes<T>; k++)
                rows.row[c][k] = nothing[c];
        longRangeLanes<T>(t, rows, 0, atom, strain, sums);
    }
    result = LongRangeResult();
    result.electrostaticEnergy = 0.5 * double(sum<T>(sums.electrostatics));
    result.dispersionEnergy = 0.5 * double(sum<T>(sums.dispersion));
    result.chargeGradient = double(sum<T>(sums.charge));
    result.ratioGradient = double(sum<T>(sums.ratio));
    for (int a = 0; a < 3; a++)
        result.gradient[a] = double(sum<T>(sums.gradient[a]));
    if (strain)
        for (int a = 0; a < 6; a++)
            result.strain[a] = 0.5 * double(sum<T>(sums.strain[a]));
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
