#pragma once
// SO3kratesForce on the CUDA platform: the engine computes in OpenMM's context, everything stays on the device.

#include <memory>
#include <string>

#include "cuda_evaluation.h"
#include "gpu/gpu_so3krates_kernel.h"

namespace SO3kratesPlugin {

class CudaCalcSO3kratesForceKernel : public GpuCalcSO3kratesForceKernel {
public:
    using GpuCalcSO3kratesForceKernel::GpuCalcSO3kratesForceKernel;
    ~CudaCalcSO3kratesForceKernel() override;
    std::string implementation() const override { return evaluation->description(); }

private:
    void createEngine(const SO3kratesForce &force) override;
    so3krates::Energies evaluate(bool forces, bool energies, double factor) override;
    so3krates::Potential &potential() override { return evaluation->potential(); }
    std::unique_ptr<CudaEvaluation> evaluation;
};

} // namespace SO3kratesPlugin
