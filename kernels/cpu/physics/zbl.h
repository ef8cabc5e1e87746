#pragma once
// Ziegler-Biersack-Littmark repulsion of a pair closer than 1.5 Å: few pairs, so scalar and in double.

#include "cpu/network/cutoff.h"
#include "cpu/physics/parameters.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// S(r; on, off): 1 below `on`, 0 above `off`, smooth to all orders; dS/dr in slope.
inline double switchValue(double r, double on, double off, double &slope) {
    slope = 0;
    if (r <= on)
        return 1;
    if (r >= off)
        return 0;
    const double c = (r - on) / (off - on), u = 1 - c;
    const double exponent = 1 / u - 1 / c;
    if (exponent > 700)
        return 0;
    if (exponent < -700)
        return 1;
    const double growth = __builtin_exp(exponent), value = 1 / (1 + growth);
    slope = -value * (growth * value) * (1 / (u * u) + 1 / (c * c)) / (off - on);
    return value;
}

// Energy of the pair (both directions), dE/dd in slope. elementCharge: Z^p by atomic number, a plain pointer since the
// kernels may not touch std::vector (simd/vector.h).
inline double zblPair(const ZblParameters &parameters, const double *elementCharge, CutoffFunction kind, int exponent,
                      double cutoff, int zi, int zj, double d, double &slope) {
    slope = 0;
    if (d >= zblSwitchEnd)
        return 0;
    double switchSlope, cutoffSlope;
    const double s = switchValue(d, 0, zblSwitchEnd, switchSlope),
                 f = cutoffValue(kind, exponent, d, cutoff, cutoffSlope);
    const double charge = elementCharge[zi] + elementCharge[zj];
    double screening = 0, screeningSlope = 0;
    for (int k = 0; k < 4; k++) {
        const double a = parameters.decay[k] * charge, term = parameters.amplitude[k] * __builtin_exp(-a * d);
        screening += term;
        screeningSlope -= a * term;
    }
    const double coulomb = coulombConstant * zi * zj / d;
    slope = coulomb * (switchSlope * f * screening + s * cutoffSlope * screening + s * f * screeningSlope -
                       s * f * screening / d);
    return coulomb * s * f * screening;
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
