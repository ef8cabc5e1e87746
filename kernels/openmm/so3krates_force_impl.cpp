#include "so3krates_force_impl.h"

#include <cmath>

#include "openmm/internal/ContextImpl.h"
#include "so3krates_kernel.h"
#include "system_checks.h"

namespace SO3kratesPlugin {

void SO3kratesForceImpl::initialize(OpenMM::ContextImpl &context) {
    checkSystem(context.getSystem(), owner);
    scale = owner.getScale();
    scaleParameter = owner.getScaleParameter();
    withDerivative = owner.hasEnergyParameterDerivative();
    kernel = context.getPlatform().createKernel(CalcSO3kratesForceKernel::Name(), context);
    kernel.getAs<CalcSO3kratesForceKernel>().initialize(context.getSystem(), owner);
}

double SO3kratesForceImpl::calcForcesAndEnergy(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy,
                                               int groups) {
    if ((groups & (1 << owner.getForceGroup())) == 0)
        return 0;
    const Scaling scaling = {factor(context), scale};
    const bool matters = scaling.factor != 0;
    if (!matters && !withDerivative)
        return 0;
    return kernel.getAs<CalcSO3kratesForceKernel>().execute(context, includeForces && matters, includeEnergy && matters,
                                                            scaling);
}

double SO3kratesForceImpl::factor(OpenMM::ContextImpl &context) const {
    if (scaleParameter.empty())
        return scale;
    const double value = context.getParameter(scaleParameter);
    if (!std::isfinite(scale * value))
        throw OpenMM::OpenMMException("SO3kratesForce: the Context parameter '" + scaleParameter + "' is " +
                                      std::to_string(value) +
                                      "; it and its product with the scale must be finite numbers");
    return scale * value;
}

std::map<std::string, double> SO3kratesForceImpl::getDefaultParameters() {
    if (owner.getScaleParameter().empty())
        return {};
    return {{owner.getScaleParameter(), owner.getScaleParameterDefault()}};
}

SO3kratesPrediction SO3kratesForceImpl::predict(OpenMM::ContextImpl &context) {
    SO3kratesPrediction prediction = kernel.getAs<CalcSO3kratesForceKernel>().predict(context);
    const double scaling = factor(context);
    for (double *part : {&prediction.network, &prediction.zbl, &prediction.electrostatics, &prediction.dispersion})
        *part *= scaling;
    return prediction;
}

std::string SO3kratesForceImpl::implementation() const {
    return kernel.getAs<const CalcSO3kratesForceKernel>().implementation();
}

std::vector<std::string> SO3kratesForceImpl::getKernelNames() { return {CalcSO3kratesForceKernel::Name()}; }

void SO3kratesForceImpl::updateParametersInContext(OpenMM::ContextImpl &context) {
    scale = owner.getScale();
    kernel.getAs<CalcSO3kratesForceKernel>().copyParametersToContext(context, owner);
    context.systemChanged();
}

} // namespace SO3kratesPlugin
