#include "radial/radial_basis.h"

#include <algorithm>
#include <cmath>

namespace so3krates {

RadialBasisFunctions::RadialBasisFunctions(const Model &model)
    : kind(model.hyperparameters().radialBasis), count(model.hyperparameters().numRadialBasis),
      firstBessel(model.hyperparameters().besselFirst), cutoff(model.hyperparameters().cutoff),
      gamma(model.hyperparameters().bernsteinGamma), a(count), b(count) {
    switch (kind) {
    case RadialBasis::Bernstein:
        a[0] = 1;
        for (int k = 1; k < count; k++)
            a[k] = a[k - 1] * (count - k) / k;
        break;
    case RadialBasis::Gaussian:
        for (int k = 0; k < count; k++) {
            const double width = model.tensor("radial_basis.widths").data[k];
            a[k] = model.tensor("radial_basis.centers").data[k];
            b[k] = 1 / (2 * width * width);
        }
        break;
    case RadialBasis::PhysNet: {
        const double end = std::exp(-cutoff), spread = 2.0 / count * (1 - end);
        for (int k = 0; k < count; k++) {
            a[k] = end + (1 - end) * k / (count - 1);
            b[k] = 1 / (spread * spread);
        }
        break;
    }
    case RadialBasis::Bessel:
        break;
    }
}

namespace {

// C(n,k) t^k u^(n-k) with t = exp(-gamma d), u = 1 - t, n = count - 1: powers, not exp(log), which loses digits.
void bernstein(const std::vector<double> &binomial, double gamma, double d, double *values, double *slopes,
               double *curvatures) {
    const int n = int(binomial.size()) - 1;
    const double t = std::exp(-gamma * d), u = -std::expm1(-gamma * d);
    double powersOfT[513], powersOfU[513];
    powersOfT[0] = powersOfU[0] = 1;
    for (int k = 1; k <= n; k++) {
        powersOfT[k] = powersOfT[k - 1] * t;
        powersOfU[k] = powersOfU[k - 1] * u;
    }
    for (int k = 0; k <= n; k++) {
        const int m = n - k;
        const double t1 = k >= 1 ? powersOfT[k - 1] : 0, u1 = m >= 1 ? powersOfU[m - 1] : 0;
        const double byT = k * t1 * powersOfU[m] - m * powersOfT[k] * u1;
        values[k] = binomial[k] * powersOfT[k] * powersOfU[m];
        if (slopes)
            slopes[k] = -gamma * t * binomial[k] * byT;
        if (curvatures) {
            const double t2 = k >= 2 ? powersOfT[k - 2] : 0, u2 = m >= 2 ? powersOfU[m - 2] : 0;
            const double byTT = double(k) * (k - 1) * t2 * powersOfU[m] - 2.0 * k * m * t1 * u1 +
                                double(m) * (m - 1) * powersOfT[k] * u2;
            curvatures[k] = gamma * gamma * t * binomial[k] * (byT + t * byTT);
        }
    }
}

} // namespace

std::vector<double> RadialBasisFunctions::parameters() const {
    std::vector<double> all = a;
    all.insert(all.end(), b.begin(), b.end());
    if (kind == RadialBasis::Bernstein)
        std::fill(all.begin() + count, all.end(), gamma);
    if (kind == RadialBasis::Bessel)
        for (int k = 0; k < count; k++)
            all[k] = M_PI * (k + firstBessel) / cutoff;
    return all;
}

void RadialBasisFunctions::evaluate(double d, double *values, double *slopes, double *curvatures) const {
    switch (kind) {
    case RadialBasis::Bernstein:
        bernstein(a, gamma, d, values, slopes, curvatures);
        break;
    case RadialBasis::Gaussian:
        for (int k = 0; k < count; k++) {
            const double x = d - a[k], g = std::exp(-x * x * b[k]);
            values[k] = g;
            if (slopes)
                slopes[k] = -2 * x * b[k] * g;
            if (curvatures)
                curvatures[k] = (4 * x * x * b[k] - 2) * b[k] * g;
        }
        break;
    case RadialBasis::PhysNet: {
        const double t = std::exp(-d);
        for (int k = 0; k < count; k++) {
            const double x = t - a[k], g = std::exp(-x * x * b[k]), byT = -2 * x * b[k] * g;
            values[k] = g;
            if (slopes)
                slopes[k] = -t * byT;
            if (curvatures)
                curvatures[k] = t * byT + t * t * (4 * x * x * b[k] - 2) * b[k] * g;
        }
        break;
    }
    case RadialBasis::Bessel:
        for (int k = 0; k < count; k++) {
            const double w = M_PI * (k + firstBessel) / cutoff;
            if (d < 1e-3) { // series of sin(w d)/d: the closed form cancels
                values[k] = w - w * w * w * d * d / 6;
                if (slopes)
                    slopes[k] = -w * w * w * d / 3;
                if (curvatures)
                    curvatures[k] = -w * w * w / 3;
                continue;
            }
            const double sine = std::sin(w * d), cosine = std::cos(w * d);
            values[k] = sine / d;
            if (slopes)
                slopes[k] = (w * cosine - sine / d) / d;
            if (curvatures)
                curvatures[k] = (-w * w * sine - 2 * (w * cosine - sine / d) / d) / d;
        }
        break;
    }
}

} // namespace so3krates
