#pragma once
// What a platform must implement to compute a SO3kratesForce.

#include <string>

#include "export.h"
#include "openmm/KernelImpl.h"
#include "openmm/Platform.h"
#include "openmm/System.h"
#include "openmm/internal/ContextImpl.h"
#include "so3krates_force.h"

namespace SO3kratesPlugin {

class SO3KRATES_OPENMM_EXPORT CalcSO3kratesForceKernel : public OpenMM::KernelImpl {
public:
    static std::string Name() { return "CalcSO3kratesForce"; }
    CalcSO3kratesForceKernel(const std::string &name, const OpenMM::Platform &platform)
        : OpenMM::KernelImpl(name, platform) {}
    // `force` fits `system`: SO3kratesForceImpl has checked it.
    virtual void initialize(const OpenMM::System &system, const SO3kratesForce &force) = 0;
    // Adds the forces (kJ/mol/nm) to the Context's and returns the energy (kJ/mol), or 0 where the platform
    // collects energies elsewhere or the energy is not wanted.
    virtual double execute(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy) = 0;
    // Takes up the charge and the spin.
    virtual void copyParametersToContext(OpenMM::ContextImpl &context, const SO3kratesForce &force) = 0;
};

} // namespace SO3kratesPlugin
