#include "cpu/physics/parameters.h"

#include <cmath>

#include "radial/activation.h"

namespace so3krates::cpu {

namespace {
double softplus(double x) { return activate(Activation::Softplus, x); }
} // namespace

ZblParameters::ZblParameters(const Model &model) : present(model.hyperparameters().zbl) {
    if (!present)
        return;
    double sum = 0, scale = softplus(model.tensor("zbl.d").data[0]), power = softplus(model.tensor("zbl.p").data[0]);
    for (int k = 0; k < 4; k++) {
        amplitude[k] = softplus(model.tensor("zbl.c").data[k]);
        decay[k] = softplus(model.tensor("zbl.a").data[k]) * scale;
        sum += amplitude[k];
    }
    for (double &c : amplitude)
        c /= sum;
    for (int z = 0; z < 120; z++)
        charge.push_back(std::pow(double(z), power));
}

LongRangeParameters::LongRangeParameters(const Model &model, double cutoff, double switchWidth)
    : electrostatics(model.hyperparameters().electrostatics), dispersion(model.hyperparameters().dispersion),
      cutoff(cutoff), sigma(model.hyperparameters().electrostaticsSigma),
      gammaScale(model.hyperparameters().dispersionGammaScale) {
    if (!std::isinf(cutoff)) {
        const double x = cutoff / sigma;
        electrostaticsOn = 0.45 * cutoff;
        dispersionOn = cutoff - switchWidth;
        valueAtCutoff = std::erf(x) / cutoff;
        slopeAtCutoff = (2 * x / std::sqrt(M_PI) * std::exp(-x * x) - std::erf(x)) / (cutoff * cutoff);
    }
    if (dispersion) {
        polarizability = model.tensor("dispersion.polarizability").data;
        c6 = model.tensor("dispersion.c6").data;
    }
}

double LongRangeParameters::alphaSquareOverC6(int z) const {
    if (!dispersion || !(polarizability[z] > 0) || !(c6[z] > 0))
        return INFINITY;
    return polarizability[z] * polarizability[z] / c6[z];
}

} // namespace so3krates::cpu
