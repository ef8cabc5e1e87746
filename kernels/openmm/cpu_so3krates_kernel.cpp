#include "cpu_so3krates_kernel.h"

#include "openmm/OpenMMException.h"
#include "openmm/internal/ContextImpl.h"
#include "openmm/reference/ReferencePlatform.h"
#include "units.h"

using OpenMM::Vec3;

namespace SO3kratesPlugin {

void CpuCalcSO3kratesForceKernel::initialize(const OpenMM::System &system, const SO3kratesForce &force) {
    region.emplace(system, force);
    forces.resize(3 * region->size());
    derivativeParameter = force.hasEnergyParameterDerivative() ? force.getScaleParameter() : "";
    potential = createPotential(force, getPlatform().supportsDoublePrecision());
}

static OpenMM::ReferencePlatform::PlatformData &dataOf(OpenMM::ContextImpl &context) {
    return *static_cast<OpenMM::ReferencePlatform::PlatformData *>(context.getPlatformData());
}

double CpuCalcSO3kratesForceKernel::execute(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy,
                                            const Scaling &scaling) {
    auto &data = dataOf(context);
    const bool withDerivative = !derivativeParameter.empty();
    so3krates::Energies energies;
    so3krates::Results results;
    results.energies = includeEnergy || withDerivative ? &energies : nullptr;
    results.forces = includeForces ? forces.data() : nullptr;
    region->takePositions(*data.positions);
    region->takeBox(data.periodicBoxVectors);
    region->compute(*potential, results, data.threads);
    if (includeForces) {
        const double unit = KJ_PER_MOL_NM_PER_EV_ANGSTROM * scaling.factor;
        std::vector<Vec3> &allForces = *data.forces;
        for (int atom = 0; atom < region->size(); atom++)
            for (int k = 0; k < 3; k++)
                allForces[region->particles()[atom]][k] += forces[3 * atom + k] * unit;
    }
    const double energy = energies.total * KJ_PER_MOL_PER_EV;
    if (withDerivative)
        (*data.energyParameterDerivatives)[derivativeParameter] += energy * scaling.derivative;
    return includeEnergy ? energy * scaling.factor : 0;
}

SO3kratesPrediction CpuCalcSO3kratesForceKernel::predict(OpenMM::ContextImpl &context) {
    auto &data = dataOf(context);
    region->takePositions(*data.positions);
    region->takeBox(data.periodicBoxVectors);
    return region->predict(*potential, data.threads);
}

void CpuCalcSO3kratesForceKernel::copyParametersToContext(OpenMM::ContextImpl &, const SO3kratesForce &force) {
    region->takeParameters(force);
}

} // namespace SO3kratesPlugin
