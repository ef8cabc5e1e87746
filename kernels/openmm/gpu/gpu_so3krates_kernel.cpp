#include "gpu/gpu_so3krates_kernel.h"

#include "openmm/common/ContextSelector.h"
#include "openmm/internal/ContextImpl.h"
#include "units.h"

using OpenMM::ContextSelector;
using OpenMM::Vec3;

namespace SO3kratesPlugin {

GpuCalcSO3kratesForceKernel::~GpuCalcSO3kratesForceKernel() {
    ContextSelector selector(gpu);
    arrays.reset();
}

void GpuCalcSO3kratesForceKernel::initialize(const OpenMM::System &system, const SO3kratesForce &force) {
    ContextSelector selector(gpu);
    region.emplace(system, force);
    arrays = std::make_unique<RegionArrays>(gpu, *region);
    derivativeParameter = force.hasEnergyParameterDerivative() ? force.getScaleParameter() : "";
    if (!derivativeParameter.empty())
        gpu.addEnergyParameterDerivative(derivativeParameter);
    createEngine(force);
}

void GpuCalcSO3kratesForceKernel::takeBox() {
    Vec3 box[3];
    gpu.getPeriodicBoxVectors(box[0], box[1], box[2]);
    region->takeBox(box);
}

double GpuCalcSO3kratesForceKernel::execute(OpenMM::ContextImpl &, bool includeForces, bool includeEnergy,
                                            const Scaling &scaling) {
    ContextSelector selector(gpu);
    takeBox();
    const bool withDerivative = !derivativeParameter.empty();
    // The energy does not go by OpenMM's energy buffer, which is in single precision where the Context is.
    const double energy =
        evaluate(includeForces, includeEnergy || withDerivative, scaling.factor).total * KJ_PER_MOL_PER_EV;
    if (withDerivative)
        gpu.getEnergyParamDerivWorkspace()[derivativeParameter] += energy * scaling.derivative;
    return includeEnergy ? energy * scaling.factor : 0;
}

SO3kratesPrediction GpuCalcSO3kratesForceKernel::predict(OpenMM::ContextImpl &context) {
    std::vector<Vec3> positions;
    context.getPositions(positions); // those a State gives: the dipole depends on the images
    ContextSelector selector(gpu);
    region->takePositions(positions);
    takeBox();
    return region->predict(potential(), gpu.getThreadPool());
}

void GpuCalcSO3kratesForceKernel::copyParametersToContext(OpenMM::ContextImpl &, const SO3kratesForce &force) {
    region->takeParameters(force);
}

} // namespace SO3kratesPlugin
