#pragma once
// SO3kratesForce on OpenMM's GPU platforms: what they have in common, whatever computes.

#include <memory>
#include <optional>
#include <string>

#include "gpu/region_arrays.h"
#include "so3krates_kernel.h"

namespace SO3kratesPlugin {

class GpuCalcSO3kratesForceKernel : public CalcSO3kratesForceKernel {
public:
    GpuCalcSO3kratesForceKernel(const std::string &name, const OpenMM::Platform &platform,
                                OpenMM::ComputeContext &context)
        : CalcSO3kratesForceKernel(name, platform), gpu(context) {}
    ~GpuCalcSO3kratesForceKernel() override;
    void initialize(const OpenMM::System &system, const SO3kratesForce &force) override;
    double execute(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy,
                   const Scaling &scaling) override;
    SO3kratesPrediction predict(OpenMM::ContextImpl &context) override;
    void copyParametersToContext(OpenMM::ContextImpl &context, const SO3kratesForce &force) override;

protected:
    // In all three OpenMM's context is current, and the region and its arrays are there.
    virtual void createEngine(const SO3kratesForce &force) = 0;
    // At OpenMM's positions, in the region's box. Adds the forces times factor to OpenMM's, if they are wanted, and
    // returns the energies, if they are, in eV.
    virtual so3krates::Energies evaluate(bool forces, bool energies, double factor) = 0;
    // The engine with arrays on the host.
    virtual so3krates::Potential &potential() = 0;

    OpenMM::ComputeContext &gpu;
    std::optional<Region> region;
    std::unique_ptr<RegionArrays> arrays;

private:
    void takeBox();
    std::string derivativeParameter; // empty: no derivative is wanted
};

} // namespace SO3kratesPlugin
