#include "gpu/hosted_so3krates_kernel.h"

#include "openmm/common/ContextSelector.h"

namespace SO3kratesPlugin {

HostedCalcSO3kratesForceKernel::~HostedCalcSO3kratesForceKernel() {
    OpenMM::ContextSelector selector(gpu);
    exchange.reset();
}

void HostedCalcSO3kratesForceKernel::createEngine(const SO3kratesForce &force) {
    engine = createPotential(force, gpu.getUseDoublePrecision());
    forcesOnHost.resize(region->positions.size());
    exchange = std::make_unique<OpenMM::ComputeArray>();
    exchange->initialize(gpu, forcesOnHost.size(), arrays->numberBytes(), "so3kratesExchange");
}

so3krates::Energies HostedCalcSO3kratesForceKernel::evaluate(bool forces, bool energies, double factor) {
    so3krates::Energies result;
    so3krates::Results wanted;
    wanted.energies = energies ? &result : nullptr;
    wanted.forces = forces ? forcesOnHost.data() : nullptr;
    arrays->gather(*exchange);
    exchange->download(region->positions, true);
    region->compute(*engine, wanted, gpu.getThreadPool());
    if (forces) {
        exchange->upload(forcesOnHost, true);
        arrays->scatter(*exchange, factor);
    }
    return result;
}

} // namespace SO3kratesPlugin
