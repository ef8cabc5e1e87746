#include "gpu/cuda_so3krates_kernel.h"

#include "openmm/common/ContextSelector.h"

namespace SO3kratesPlugin {

CudaCalcSO3kratesForceKernel::~CudaCalcSO3kratesForceKernel() {
    OpenMM::ContextSelector selector(gpu);
    evaluation.reset();
}

void CudaCalcSO3kratesForceKernel::createEngine(const SO3kratesForce &force) {
    evaluation = std::make_unique<CudaEvaluation>(force, gpu.getUseDoublePrecision());
}

so3krates::Energies CudaCalcSO3kratesForceKernel::evaluate(bool forces, bool energies, double factor) {
    arrays->gather(evaluation->prepare(*region, forces));
    if (region->imagesMatter()) {
        evaluation->download(region->positions, *region);
        region->checkImages();
    }
    const double *forcesOnDevice = evaluation->run(*region);
    if (forces)
        arrays->scatter(forcesOnDevice, factor);
    return energies ? evaluation->energies(*region) : so3krates::Energies();
}

} // namespace SO3kratesPlugin
