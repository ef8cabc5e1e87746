#include "system_checks.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <mutex>
#include <vector>

#include "openmm/OpenMMException.h"

using OpenMM::OpenMMException;

namespace SO3kratesPlugin {

static std::mutex handlerMutex;

static std::function<void(const std::string &)> &warningHandler() {
    static std::function<void(const std::string &)> handler;
    return handler;
}

void setWarningHandler(std::function<void(const std::string &)> handler) {
    std::lock_guard<std::mutex> lock(handlerMutex);
    warningHandler() = std::move(handler);
}

static void warn(const std::string &message) {
    std::function<void(const std::string &)> handler;
    {
        std::lock_guard<std::mutex> lock(handlerMutex);
        handler = warningHandler();
    }
    if (handler)
        handler("SO3kratesForce: " + message);
    else
        std::cerr << "Warning: SO3kratesForce: " << message << std::endl;
}

[[noreturn]] static void refuse(const std::string &message) { throw OpenMMException("SO3kratesForce: " + message); }

static std::vector<char> regionMask(const OpenMM::System &system, const SO3kratesForce &force) {
    const int numParticles = system.getNumParticles();
    const std::string has = "the System has " + std::to_string(numParticles) + " particles";
    if (force.getParticles().empty()) {
        const int numAtoms = force.getAtomicNumbers().size();
        if (numAtoms != numParticles)
            refuse(has + " but the force was made for " + std::to_string(numAtoms) +
                   (numAtoms > numParticles ? "; make it from the topology the System was built from"
                                            : "; name the particles it acts on (atoms=...)"));
        return std::vector<char>(numParticles, 1);
    }
    std::vector<char> inRegion(numParticles, 0);
    for (int particle : force.getParticles()) {
        if (particle >= numParticles)
            refuse(has + ", there is no particle " + std::to_string(particle) + " (they are counted from 0)");
        inRegion[particle] = 1;
    }
    return inRegion;
}

static void checkElements(const SO3kratesForce &force) {
    const std::vector<int> &trained = force.getModel().hyperparameters().elements;
    for (size_t i = 0; i < force.getAtomicNumbers().size() && !force.getAllowUntrainedElements(); i++) {
        const int z = force.getAtomicNumbers()[i];
        if (!std::binary_search(trained.begin(), trained.end(), z))
            refuse("particle " + std::to_string(force.getParticles().empty() ? i : force.getParticles()[i]) +
                   " has the atomic number " + std::to_string(z) + ", which the model '" + force.getModel().name() +
                   "' was not trained on; leave it out of the force's atoms, use another model, or set "
                   "allow_untrained_elements for a numerical experiment");
    }
}

static void checkBonds(const SO3kratesForce &force, int numParticles) {
    for (const auto &bond : force.getBonds())
        for (int particle : {bond.first, bond.second})
            if (particle < 0 || particle >= numParticles)
                refuse("a bond names particle " + std::to_string(particle) + ", but the System has " +
                       std::to_string(numParticles) + " particles");
}

static void warnOfMasslessAtoms(const OpenMM::System &system, const std::vector<char> &inRegion) {
    int count = 0, first = -1;
    for (int i = 0; i < (int)inRegion.size(); i++)
        if (inRegion[i] && system.getParticleMass(i) == 0 && !system.isVirtualSite(i) && count++ == 0)
            first = i;
    if (count > 0)
        warn(std::to_string(count) + " of its atoms are massless (the first is particle " + std::to_string(first) +
             "): they act on the others but stay where they are");
}

static void warnOfConstraints(const OpenMM::System &system, const std::vector<char> &inRegion) {
    int count = 0, first1 = -1, first2 = -1;
    for (int i = 0; i < system.getNumConstraints(); i++) {
        int particle1, particle2;
        double distance;
        system.getConstraintParameters(i, particle1, particle2, distance);
        if ((inRegion[particle1] || inRegion[particle2]) && count++ == 0) {
            first1 = particle1;
            first2 = particle2;
        }
    }
    if (count > 0)
        warn(std::to_string(count) + " constraints hold its atoms (the first joins particles " +
             std::to_string(first1) + " and " + std::to_string(first2) +
             "). SO3krates models are trained on flexible molecules and their bonds have other lengths than a force "
             "field's: remove the constraints (constraints=None, rigidWater=False) and use a time step of 0.5 fs");
}

void checkSystem(const OpenMM::System &system, const SO3kratesForce &force) {
    const std::vector<char> inRegion = regionMask(system, force);
    checkElements(force);
    checkBonds(force, system.getNumParticles());
    if (force.usesPeriodicBoundaryConditions() && std::isinf(force.getLRCutoff()))
        refuse("a periodic system needs a long-range cutoff (lr_cutoff=1.2*nanometer is what SO3LR was published "
               "with), or make the force non-periodic (periodic=False)");
    warnOfMasslessAtoms(system, inRegion);
    warnOfConstraints(system, inRegion);
}

} // namespace SO3kratesPlugin
