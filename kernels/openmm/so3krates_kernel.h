#pragma once
// What a platform must implement to compute a SO3kratesForce.

#include <string>

#include "export.h"
#include "openmm/KernelImpl.h"
#include "openmm/OpenMMException.h"
#include "openmm/Platform.h"
#include "openmm/System.h"
#include "openmm/internal/ContextImpl.h"
#include "so3krates_force.h"

namespace SO3kratesPlugin {

// What one evaluation is multiplied by.
struct Scaling {
    double factor = 1;     // of energy and forces; 0 only where nothing but the derivative is wanted
    double derivative = 0; // d(factor)/d(scale parameter)
};

class SO3KRATES_OPENMM_EXPORT CalcSO3kratesForceKernel : public OpenMM::KernelImpl {
public:
    static std::string Name() { return "CalcSO3kratesForce"; }
    CalcSO3kratesForceKernel(const std::string &name, const OpenMM::Platform &platform)
        : OpenMM::KernelImpl(name, platform) {}
    // `force` fits `system`: SO3kratesForceImpl has checked it.
    virtual void initialize(const OpenMM::System &system, const SO3kratesForce &force) = 0;
    // Adds the forces times scaling.factor (kJ/mol/nm) to the Context's and returns the energy times scaling.factor
    // (kJ/mol), or 0 where the platform collects energies elsewhere or the energy is not wanted.
    // If initialize() was given a force with force.hasEnergyParameterDerivative(), adds the energy times
    // scaling.derivative to the Context's derivative by force.getScaleParameter(), whatever is included.
    virtual double execute(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy,
                           const Scaling &scaling) = 0;
    // The model at the Context's current positions, not scaled, atoms in the order of the force. The positions are
    // those a State gives, not wrapped into the box. Leaves the Context's forces and energies as they are.
    virtual SO3kratesPrediction predict(OpenMM::ContextImpl &context);
    // What computes, for people: "CPU avx2 single".
    virtual std::string implementation() const = 0;
    // Takes up the charge and the spin.
    virtual void copyParametersToContext(OpenMM::ContextImpl &context, const SO3kratesForce &force) = 0;
};

inline SO3kratesPrediction CalcSO3kratesForceKernel::predict(OpenMM::ContextImpl &) {
    throw OpenMM::OpenMMException("SO3kratesForce: charges, ratios, dipoles and energy parts cannot be read on the " +
                                  getPlatform().getName() + " platform; use a Context on the CPU platform");
}

} // namespace SO3kratesPlugin
