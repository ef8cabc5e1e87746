#include "so3krates_force_impl.h"

#include "openmm/internal/ContextImpl.h"
#include "so3krates_kernel.h"
#include "system_checks.h"

namespace SO3kratesPlugin {

void SO3kratesForceImpl::initialize(OpenMM::ContextImpl &context) {
    checkSystem(context.getSystem(), owner);
    kernel = context.getPlatform().createKernel(CalcSO3kratesForceKernel::Name(), context);
    kernel.getAs<CalcSO3kratesForceKernel>().initialize(context.getSystem(), owner);
}

double SO3kratesForceImpl::calcForcesAndEnergy(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy,
                                               int groups) {
    if ((groups & (1 << owner.getForceGroup())) == 0)
        return 0;
    return kernel.getAs<CalcSO3kratesForceKernel>().execute(context, includeForces, includeEnergy);
}

std::vector<std::string> SO3kratesForceImpl::getKernelNames() { return {CalcSO3kratesForceKernel::Name()}; }

void SO3kratesForceImpl::updateParametersInContext(OpenMM::ContextImpl &context) {
    kernel.getAs<CalcSO3kratesForceKernel>().copyParametersToContext(context, owner);
    context.systemChanged();
}

} // namespace SO3kratesPlugin
