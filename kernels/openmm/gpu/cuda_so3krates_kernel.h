#pragma once
// SO3kratesForce on the CUDA platform: the engine computes in OpenMM's context, everything stays on the device.

#include <memory>
#include <optional>
#include <string>

#include "cuda_evaluation.h"
#include "gpu/region_arrays.h"
#include "so3krates_kernel.h"

namespace SO3kratesPlugin {

class CudaCalcSO3kratesForceKernel : public CalcSO3kratesForceKernel {
public:
    CudaCalcSO3kratesForceKernel(const std::string &name, const OpenMM::Platform &platform,
                                 OpenMM::ComputeContext &context)
        : CalcSO3kratesForceKernel(name, platform), gpu(context) {}
    ~CudaCalcSO3kratesForceKernel() override;
    void initialize(const OpenMM::System &system, const SO3kratesForce &force) override;
    double execute(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy,
                   const Scaling &scaling) override;
    SO3kratesPrediction predict(OpenMM::ContextImpl &context) override;
    void copyParametersToContext(OpenMM::ContextImpl &context, const SO3kratesForce &force) override;
    std::string implementation() const override;

private:
    void takeBox();
    OpenMM::ComputeContext &gpu;
    std::optional<Region> region;
    std::unique_ptr<CudaEvaluation> evaluation;
    std::unique_ptr<RegionArrays> arrays;
    std::string derivativeParameter; // empty: no derivative is wanted
};

} // namespace SO3kratesPlugin
