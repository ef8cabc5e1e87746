#pragma once
// SO3kratesForce on the Reference and CPU platforms, which keep positions and forces in the same arrays.

#include <memory>
#include <vector>

#include "potential.h"
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

private:
    void compute(OpenMM::ContextImpl &context, const so3krates::Results &results);
    std::unique_ptr<so3krates::Potential> potential;
    bool periodic = false, wholeSystem = true;
    double charge = 0, spin = 0;
    std::string derivativeParameter;           // empty: no derivative is wanted
    std::vector<int> particles, atomicNumbers; // [atoms]
    std::vector<double> positions, forces;     // [atoms][3] Å, eV/Å
};

} // namespace SO3kratesPlugin
