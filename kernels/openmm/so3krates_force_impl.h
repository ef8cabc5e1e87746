#pragma once
// A SO3kratesForce inside one Context: checks that the force fits the System, then leaves the work to the
// platform's kernel.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "openmm/Kernel.h"
#include "openmm/internal/ForceImpl.h"
#include "so3krates_force.h"

namespace SO3kratesPlugin {

class SO3kratesForceImpl : public OpenMM::ForceImpl {
public:
    explicit SO3kratesForceImpl(const SO3kratesForce &owner) : owner(owner) {}
    void initialize(OpenMM::ContextImpl &context) override;
    const OpenMM::Force &getOwner() const override { return owner; }
    double calcForcesAndEnergy(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy,
                               int groups) override;
    std::map<std::string, double> getDefaultParameters() override;
    std::vector<std::string> getKernelNames() override;
    std::vector<std::pair<int, int>> getBondedParticles() const override { return owner.getBonds(); }
    void updateParametersInContext(OpenMM::ContextImpl &context);
    SO3kratesPrediction predict(OpenMM::ContextImpl &context);
    std::string implementation() const;

private:
    double factor(OpenMM::ContextImpl &context) const;
    const SO3kratesForce &owner;
    double scale = 1; // the owner's may have changed since
    std::string scaleParameter;
    bool withDerivative = false;
    OpenMM::Kernel kernel;
};

} // namespace SO3kratesPlugin
