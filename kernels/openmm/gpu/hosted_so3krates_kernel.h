#pragma once
// SO3kratesForce on devices that the engine cannot compute on: positions come to the host, its processor computes,
// forces go back.

#include <memory>
#include <string>
#include <vector>

#include "gpu/gpu_so3krates_kernel.h"

namespace SO3kratesPlugin {

class HostedCalcSO3kratesForceKernel : public GpuCalcSO3kratesForceKernel {
public:
    using GpuCalcSO3kratesForceKernel::GpuCalcSO3kratesForceKernel;
    ~HostedCalcSO3kratesForceKernel() override;
    std::string implementation() const override { return engine->implementation(); }

private:
    void createEngine(const SO3kratesForce &force) override;
    so3krates::Energies evaluate(bool forces, bool energies, double factor) override;
    so3krates::Potential &potential() override { return *engine; }
    std::unique_ptr<so3krates::Potential> engine;
    std::unique_ptr<OpenMM::ComputeArray> exchange; // [atoms][3] positions, then forces
    std::vector<double> forcesOnHost;               // [atoms][3] eV/Å
};

} // namespace SO3kratesPlugin
