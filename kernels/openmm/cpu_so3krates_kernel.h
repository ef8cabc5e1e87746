#pragma once
// SO3kratesForce on the Reference and CPU platforms, which keep positions and forces in the same arrays.

#include <memory>
#include <optional>
#include <vector>

#include "potential.h"
#include "region.h"
#include "so3krates_kernel.h"

namespace SO3kratesPlugin {

class CpuCalcSO3kratesForceKernel : public CalcSO3kratesForceKernel {
public:
    using CalcSO3kratesForceKernel::CalcSO3kratesForceKernel;
    void initialize(const OpenMM::System &system, const SO3kratesForce &force) override;
    double execute(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy,
                   const Scaling &scaling) override;
    SO3kratesPrediction predict(OpenMM::ContextImpl &context) override;
    void copyParametersToContext(OpenMM::ContextImpl &context, const SO3kratesForce &force) override;
    std::string implementation() const override { return potential->implementation(); }

private:
    std::optional<Region> region;
    std::unique_ptr<so3krates::Potential> potential;
    std::string derivativeParameter; // empty: no derivative is wanted
    std::vector<double> forces;      // [atoms][3] eV/Å
};

} // namespace SO3kratesPlugin
