#include "gpu/hosted_so3krates_kernel.h"

#include "openmm/common/ContextSelector.h"
#include "openmm/internal/ContextImpl.h"
#include "units.h"

using OpenMM::ContextSelector;
using OpenMM::Vec3;

namespace SO3kratesPlugin {

HostedCalcSO3kratesForceKernel::~HostedCalcSO3kratesForceKernel() {
    ContextSelector selector(gpu);
    exchange.reset();
    arrays.reset();
}

void HostedCalcSO3kratesForceKernel::initialize(const OpenMM::System &system, const SO3kratesForce &force) {
    ContextSelector selector(gpu);
    region.emplace(system, force);
    forces.resize(region->positions.size());
    derivativeParameter = force.hasEnergyParameterDerivative() ? force.getScaleParameter() : "";
    if (!derivativeParameter.empty())
        gpu.addEnergyParameterDerivative(derivativeParameter);
    potential = createPotential(force, gpu.getUseDoublePrecision());
    arrays = std::make_unique<RegionArrays>(gpu, *region);
    exchange = std::make_unique<OpenMM::ComputeArray>();
    exchange->initialize(gpu, forces.size(), arrays->numberBytes(), "so3kratesExchange");
}

void HostedCalcSO3kratesForceKernel::takeBox() {
    Vec3 box[3];
    gpu.getPeriodicBoxVectors(box[0], box[1], box[2]);
    region->takeBox(box);
}

double HostedCalcSO3kratesForceKernel::execute(OpenMM::ContextImpl &, bool includeForces, bool includeEnergy,
                                               const Scaling &scaling) {
    ContextSelector selector(gpu);
    const bool withDerivative = !derivativeParameter.empty();
    so3krates::Energies energies;
    so3krates::Results results;
    results.energies = includeEnergy || withDerivative ? &energies : nullptr;
    results.forces = includeForces ? forces.data() : nullptr;
    arrays->gather(*exchange);
    exchange->download(region->positions, true);
    takeBox();
    region->compute(*potential, results, gpu.getThreadPool());
    if (includeForces) {
        exchange->upload(forces, true);
        arrays->scatter(*exchange, scaling.factor);
    }
    const double energy = energies.total * KJ_PER_MOL_PER_EV;
    if (withDerivative)
        gpu.getEnergyParamDerivWorkspace()[derivativeParameter] += energy * scaling.derivative;
    return includeEnergy ? energy * scaling.factor : 0;
}

SO3kratesPrediction HostedCalcSO3kratesForceKernel::predict(OpenMM::ContextImpl &context) {
    std::vector<Vec3> positions;
    context.getPositions(positions); // those a State gives: the dipole depends on the images
    region->takePositions(positions);
    takeBox();
    return region->predict(*potential, gpu.getThreadPool());
}

void HostedCalcSO3kratesForceKernel::copyParametersToContext(OpenMM::ContextImpl &, const SO3kratesForce &force) {
    region->takeParameters(force);
}

} // namespace SO3kratesPlugin
