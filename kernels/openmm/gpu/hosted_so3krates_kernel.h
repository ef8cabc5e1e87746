#pragma once
// SO3kratesForce on devices that the engine cannot compute on: positions come to the host, its processors compute,
// forces go back.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gpu/region_arrays.h"
#include "so3krates_kernel.h"

namespace SO3kratesPlugin {

class HostedCalcSO3kratesForceKernel : public CalcSO3kratesForceKernel {
public:
    HostedCalcSO3kratesForceKernel(const std::string &name, const OpenMM::Platform &platform,
                                   OpenMM::ComputeContext &context)
        : CalcSO3kratesForceKernel(name, platform), gpu(context) {}
    ~HostedCalcSO3kratesForceKernel() override;
    void initialize(const OpenMM::System &system, const SO3kratesForce &force) override;
    double execute(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy,
                   const Scaling &scaling) override;
    SO3kratesPrediction predict(OpenMM::ContextImpl &context) override;
    void copyParametersToContext(OpenMM::ContextImpl &context, const SO3kratesForce &force) override;
    std::string implementation() const override { return potential->implementation(); }

private:
    void takeBox();
    OpenMM::ComputeContext &gpu;
    std::optional<Region> region;
    std::unique_ptr<so3krates::Potential> potential;
    std::unique_ptr<RegionArrays> arrays;
    std::unique_ptr<OpenMM::ComputeArray> exchange; // [atoms][3] positions, then forces
    std::vector<double> forces;                     // [atoms][3] eV/Å
    std::string derivativeParameter;                // empty: no derivative is wanted
};

} // namespace SO3kratesPlugin
