#include "gpu/cuda_so3krates_kernel.h"

#include "openmm/common/ContextSelector.h"
#include "openmm/internal/ContextImpl.h"
#include "units.h"

using OpenMM::ContextSelector;
using OpenMM::Vec3;

namespace SO3kratesPlugin {

CudaCalcSO3kratesForceKernel::~CudaCalcSO3kratesForceKernel() {
    ContextSelector selector(gpu);
    arrays.reset();
    evaluation.reset();
}

void CudaCalcSO3kratesForceKernel::initialize(const OpenMM::System &system, const SO3kratesForce &force) {
    ContextSelector selector(gpu);
    region.emplace(system, force);
    arrays = std::make_unique<RegionArrays>(gpu, *region);
    evaluation = std::make_unique<CudaEvaluation>(force, gpu.getUseDoublePrecision());
    derivativeParameter = force.hasEnergyParameterDerivative() ? force.getScaleParameter() : "";
    if (!derivativeParameter.empty())
        gpu.addEnergyParameterDerivative(derivativeParameter);
}

void CudaCalcSO3kratesForceKernel::takeBox() {
    Vec3 box[3];
    gpu.getPeriodicBoxVectors(box[0], box[1], box[2]);
    region->takeBox(box);
}

double CudaCalcSO3kratesForceKernel::execute(OpenMM::ContextImpl &, bool includeForces, bool includeEnergy,
                                             const Scaling &scaling) {
    ContextSelector selector(gpu);
    takeBox();
    arrays->gather(evaluation->prepare(*region, includeForces));
    const double *forces = evaluation->run(*region);
    if (includeForces)
        arrays->scatter(forces, scaling.factor);
    const bool withDerivative = !derivativeParameter.empty();
    if (!includeEnergy && !withDerivative)
        return 0;
    // Not by OpenMM's energy buffer, which is in single precision where the Context is: energies are large and exact
    // ones cost one more wait only when they are asked for.
    const double energy = evaluation->energies(*region).total * KJ_PER_MOL_PER_EV;
    if (withDerivative)
        gpu.getEnergyParamDerivWorkspace()[derivativeParameter] += energy * scaling.derivative;
    return includeEnergy ? energy * scaling.factor : 0;
}

SO3kratesPrediction CudaCalcSO3kratesForceKernel::predict(OpenMM::ContextImpl &context) {
    std::vector<Vec3> positions;
    context.getPositions(positions); // those a State gives: the dipole depends on the images
    ContextSelector selector(gpu);
    region->takePositions(positions);
    takeBox();
    return region->predict(evaluation->potential(), gpu.getThreadPool());
}

void CudaCalcSO3kratesForceKernel::copyParametersToContext(OpenMM::ContextImpl &, const SO3kratesForce &force) {
    region->takeParameters(force);
}

std::string CudaCalcSO3kratesForceKernel::implementation() const { return evaluation->description(); }

} // namespace SO3kratesPlugin
