#include "so3krates_force.h"

#include <algorithm>
#include <cmath>

#include "model_registry.h"
#include "openmm/OpenMMException.h"
#include "openmm/internal/ContextImpl.h"
#include "so3krates_force_impl.h"
#include "units.h"

using OpenMM::OpenMMException;

namespace SO3kratesPlugin {

static void require(bool condition, const std::string &message) {
    if (!condition)
        throw OpenMMException("SO3kratesForce: " + message);
}

SO3kratesForce::SO3kratesForce(std::shared_ptr<const so3krates::Model> model_, std::vector<int> atomicNumbers_,
                               std::vector<int> particles_)
    : model(std::move(model_)), atomicNumbers(std::move(atomicNumbers_)), particles(std::move(particles_)) {
    setName("SO3kratesForce");
    require(model != nullptr, "a model is needed");
    require(!atomicNumbers.empty(), "at least one atom is needed");
    const int elementRows = model->elementRows();
    for (size_t i = 0; i < atomicNumbers.size(); i++)
        if (atomicNumbers[i] < 1 || atomicNumbers[i] >= elementRows)
            throw OpenMMException("SO3kratesForce: atom " + std::to_string(i) + " has the atomic number " +
                                  std::to_string(atomicNumbers[i]) + ", for which the model '" + model->name() +
                                  "' has no numbers");
    if (!particles.empty()) {
        require(particles.size() == atomicNumbers.size(),
                "there are " + std::to_string(particles.size()) + " particle indices but " +
                    std::to_string(atomicNumbers.size()) + " atomic numbers; one of each is needed per atom");
        std::vector<int> sorted = particles;
        std::sort(sorted.begin(), sorted.end());
        require(sorted.front() >= 0, "particle index " + std::to_string(sorted.front()) + " is negative");
        auto twice = std::adjacent_find(sorted.begin(), sorted.end());
        require(twice == sorted.end(),
                twice == sorted.end() ? "" : "particle " + std::to_string(*twice) + " is named twice");
    }
    lrCutoff = model->hyperparameters().lrCutoff / ANGSTROM_PER_NM;
    dispersionSwitchWidth = model->hyperparameters().dispersionSwitchWidth / ANGSTROM_PER_NM;
    model = ModelRegistry::share(model);
}

SO3kratesForce::SO3kratesForce(const std::string &modelName, std::vector<int> atomicNumbers, std::vector<int> particles)
    : SO3kratesForce(so3krates::Model::load(modelName), std::move(atomicNumbers), std::move(particles)) {}

void SO3kratesForce::setCharge(double value) {
    require(std::isfinite(value), "the charge must be a finite number of elementary charges");
    charge = value;
}

void SO3kratesForce::setSpin(double value) {
    require(std::isfinite(value) && value >= 0, "the spin must be a finite number of unpaired electrons, 0 or more");
    spin = value;
}

void SO3kratesForce::setScale(double value) {
    require(std::isfinite(value), "the scale must be a finite number");
    scale = value;
}

void SO3kratesForce::setScaleParameter(const std::string &name, double defaultValue) {
    require(std::isfinite(defaultValue), "the default of the scale parameter must be a finite number");
    if (name != scaleParameter)
        energyParameterDerivative = false;
    scaleParameter = name;
    scaleParameterDefault = defaultValue;
}

void SO3kratesForce::addEnergyParameterDerivative(const std::string &name) {
    require(!name.empty() && name == scaleParameter,
            "there is no derivative by '" + name + "'; " +
                (scaleParameter.empty() ? "this force has no scale parameter (scale_parameter)"
                                        : "its scale parameter is '" + scaleParameter + "'"));
    energyParameterDerivative = true;
}

void SO3kratesForce::setLRCutoff(double value) {
    require(value > 0, "the long-range cutoff must be a positive length in nm, or infinity (None) for no cutoff");
    lrCutoff = value;
}

void SO3kratesForce::setDispersionSwitchWidth(double value) {
    require(value > 0 && std::isfinite(value), "the width of the dispersion switch must be a positive length in nm");
    dispersionSwitchWidth = value;
}

void SO3kratesForce::setBonds(std::vector<std::pair<int, int>> value) { bonds = std::move(value); }

// The force's part in the Context; OpenMM's own message does not tell what to do.
static SO3kratesForceImpl &implIn(const SO3kratesForce &force, OpenMM::ContextImpl &context) {
    for (OpenMM::ForceImpl *impl : context.getForceImpls())
        if (&impl->getOwner() == &force)
            return dynamic_cast<SO3kratesForceImpl &>(*impl);
    throw OpenMMException("SO3kratesForce: this force is not part of the Context's System; use the one that was added "
                          "to it, or SO3kratesForce(context.getSystem().getForce(i))");
}

void SO3kratesForce::updateParametersInContext(OpenMM::Context &context) {
    OpenMM::ContextImpl &impl = getContextImpl(context);
    implIn(*this, impl).updateParametersInContext(impl);
}

std::string SO3kratesForce::getImplementation(OpenMM::Context &context) const {
    OpenMM::ContextImpl &impl = const_cast<SO3kratesForce *>(this)->getContextImpl(context);
    return implIn(*this, impl).implementation();
}

SO3kratesPrediction SO3kratesForce::getPrediction(OpenMM::Context &context) const {
    OpenMM::ContextImpl &impl = const_cast<SO3kratesForce *>(this)->getContextImpl(context);
    return implIn(*this, impl).predict(impl);
}

OpenMM::ForceImpl *SO3kratesForce::createImpl() const { return new SO3kratesForceImpl(*this); }

} // namespace SO3kratesPlugin
