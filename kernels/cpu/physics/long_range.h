#pragma once
// Electrostatics and dispersion of one atom with all its long-range neighbors, with the derivatives that seed the way
// back through the network: dE/dq_i and dE/dh_i.
//
// Both terms of a pair, in Å, eV, e and atomic units where marked (docs/theory.md, "Physical terms"):
//   electrostatics  ke q_i q_j [V(r) - V(r_lr) - (1 - S_e(r)) V'(r_lr) (r - r_lr)],  V(r) = erf(r/sigma)/r
//   dispersion      -E_h C6_ij S_d(r) [1/(R^6+p^6) + 10 s^2/(R^8+p^8) + 122.5 s^4/(R^10+p^10)]
// C6_ij = K(Z_i, Z_j) h_i h_j exactly: the combination rule is homogeneous in each atom's ratio. s and p depend on
// u = ((alpha_i + alpha_j)/2)^(1/7).

#include "cpu/physics/long_range_terms.h"
#include "cpu/physics/parameters.h"
#include "cpu/simd/math.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// Lanes of one vector of neighbors, gathered.
template <class T> struct NeighborLanes {
    T r[3][lanes<T>], charge[lanes<T>], ratio[lanes<T>], polarizability[lanes<T>], c6[lanes<T>], mask[lanes<T>];
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

template <class T>
SO3K_INLINE void longRangeLanes(const LongRangeTerms<T> &t, const NeighborLanes<T> &n, T chargeI, T ratioI,
                                T polarizabilityI, T freePolarizabilityI, bool strain, LongRangeSums<T> &sums) {
    Vec<T> x = load<T>(n.r[0]), y = load<T>(n.r[1]), z = load<T>(n.r[2]), mask = load<T>(n.mask);
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
        Vec<T> other = mask * load<T>(n.charge) * T(coulombConstant), product = other * chargeI;
        sums.electrostatics += product * value;
        sums.charge += other * value;
        along += product * slope;
    }
    if (t.dispersion) {
        const T toBohr = T(1 / bohr);
        // Ratios are absolute values and may vanish: keep the seventh root away from 0.
        Vec<T> polarizability =
            maximum<T>(T(0.5) * (polarizabilityI + load<T>(n.polarizability)), broadcast<T>(T(1e-6)));
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
        Vec<T> perRatio = mask * load<T>(n.c6) * load<T>(n.ratio) * T(-hartree); // -E_h C6_ij / h_i
        Vec<T> factor = perRatio * ratioI;
        sums.dispersion += factor * f * bracket;
        along += factor * (f * bracketR * toBohr + switchSlope * bracket);
        Vec<T> uSlope = bracketP * pSlope + bracketS * sSlope;
        sums.ratio +=
            perRatio * f * bracket + factor * f * uSlope * root6 * (T(0.5 / 7) * freePolarizabilityI); // du/dalpha
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

// Atom i with its neighbors. Adds to result.
template <class T>
void longRangeAtom(const LongRangeTerms<T> &t, int i, const LongRangeNeighbors &neighbors, bool strain,
                   LongRangeResult &result) {
    LongRangeSums<T> sums;
    NeighborLanes<T> n;
    const double *xi = t.positions + 3L * i;
    const T *c6 = t.c6 + long(t.species[i]) * t.numSpecies;
    const T freePolarizability = t.freePolarizability[t.species[i]];
    for (int start = 0; start < neighbors.count; start += lanes<T>) {
        const int filled = neighbors.count - start < lanes<T> ? neighbors.count - start : lanes<T>;
        for (int k = 0; k < lanes<T>; k++) {
            // Empty lanes repeat the last neighbor with weight 0.
            const int entry = start + (k < filled ? k : filled - 1);
            const int j = neighbors.list ? neighbors.list[entry] : neighbors.first + entry;
            const double *xj = t.positions + 3L * j;
            const double *shift = neighbors.images ? neighbors.imageShifts + 3L * neighbors.images[entry] : nullptr;
            for (int a = 0; a < 3; a++)
                n.r[a][k] = T(xj[a] - xi[a] + (shift ? shift[a] : 0));
            n.charge[k] = t.charge[j];
            n.ratio[k] = t.ratio[j];
            n.polarizability[k] = t.polarizability[j];
            n.c6[k] = c6[t.species[j]];
            n.mask[k] = k < filled ? T(1) : T(0);
        }
        longRangeLanes<T>(t, n, t.charge[i], t.ratio[i], t.polarizability[i], freePolarizability, strain, sums);
    }
    result.electrostaticEnergy += 0.5 * double(sum<T>(sums.electrostatics));
    result.dispersionEnergy += 0.5 * double(sum<T>(sums.dispersion));
    result.chargeGradient += double(sum<T>(sums.charge));
    result.ratioGradient += double(sum<T>(sums.ratio));
    for (int a = 0; a < 3; a++)
        result.gradient[a] += double(sum<T>(sums.gradient[a]));
    if (strain)
        for (int a = 0; a < 6; a++)
            result.strain[a] += 0.5 * double(sum<T>(sums.strain[a]));
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
