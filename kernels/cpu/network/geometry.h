#pragma once
// Pair geometry: distance, unit vector, cutoff function, spherical harmonics; and the way back to dE/dr_ij.

#include "cpu/network/cutoff.h"
#include "cpu/network/shape_of.h"
#include "cpu/network/spherical_harmonics.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

// Pairs [begin, end): writes distance, unit, cutoff, harmonics; clears harmonicsGradient and distanceGradient.
template <class T> void pairGeometry(const Evaluation<T> &e, int begin, int end) {
    const Shape &s = shapeOf(*e.model);
    for (int p = begin; p < end; p++) {
        const double *a = e.positions + 3L * e.pairs.i[p], *b = e.positions + 3L * e.pairs.j[p];
        const double *shift = e.pairs.shift + 3L * p;
        double r[3], d2 = 0;
        for (int k = 0; k < 3; k++) {
            r[k] = b[k] - a[k] + shift[k]; // in double: the atoms may be far from the origin
            d2 += r[k] * r[k];
        }
        double d = __builtin_sqrt(d2), inverse = 1 / d;
        T *unit = e.unit + 4L * p;
        for (int k = 0; k < 3; k++)
            unit[k] = T(r[k] * inverse);
        unit[3] = T(inverse);
        e.distance[p] = d;
        double slope, value = cutoffValue(e.model->cutoffFunction, e.model->cutoffExponent, d, e.model->cutoff, slope);
        e.cutoff[2L * p] = T(value);
        e.cutoff[2L * p + 1] = T(slope);
        T *y = e.harmonics + long(p) * s.euclidean;
        for (int m = s.numEuclidean; m < s.euclidean; m++)
            y[m] = 0;
        for (int k = 0; k < s.numDegrees; k++)
            sphericalHarmonics<T>(s.degree[k], unit[0], unit[1], unit[2], y + s.degreeStart[k]);
        if (e.withGradient) {
            T *gradient = e.harmonicsGradient + long(p) * s.euclidean;
            for (int m = 0; m < s.euclidean; m++)
                gradient[m] = 0;
            e.distanceGradient[p] = 0;
        }
    }
}

// Pairs [begin, end): pairGradient = dE/dr_ij from distanceGradient and harmonicsGradient.
template <class T> void pairGradients(const Evaluation<T> &e, int begin, int end) {
    const Shape &s = shapeOf(*e.model);
    for (int p = begin; p < end; p++) {
        const T *unit = e.unit + 4L * p;
        const T *gradient = e.harmonicsGradient + long(p) * s.euclidean;
        T g[3] = {0, 0, 0}; // dE/du of the polynomials in u
        for (int k = 0; k < s.numDegrees; k++)
            sphericalHarmonicsGradient<T>(s.degree[k], unit[0], unit[1], unit[2], gradient + s.degreeStart[k], g);
        // du/dr projects on the plane normal to u, and divides by d
        T along = g[0] * unit[0] + g[1] * unit[1] + g[2] * unit[2];
        T *out = e.pairGradient + 4L * p;
        for (int k = 0; k < 3; k++)
            out[k] = (g[k] - along * unit[k]) * unit[3] + e.distanceGradient[p] * unit[k];
    }
}

} // namespace so3krates::cpu::SO3KRATES_ARCH
