#pragma once
// A SO3krates model as an OpenMM Force. Units: nm, elementary charges.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "export.h"
#include "model/model.h"
#include "openmm/Context.h"
#include "openmm/Force.h"
#include "openmm/Vec3.h"

namespace SO3kratesPlugin {

// What the model says of one structure beside the forces.
struct SO3kratesPrediction {
    double network = 0, zbl = 0, electrostatics = 0, dispersion = 0; // parts of the energy, kJ/mol
    std::vector<double> partialCharges;                              // [atoms] e; 0 if the model predicts none
    std::vector<double> hirshfeldRatios;                             // [atoms]; 1 if the model predicts none
    OpenMM::Vec3 dipole; // e nm, sum of charge times position, which are not wrapped
};

// The energy of some or all particles of a System by a frozen SO3krates model.
//
// All other forces on these particles are the user's affair: a model such as SO3LR describes every interaction
// within its region. Throws OpenMM::OpenMMException wherever an argument cannot be used.
class SO3KRATES_OPENMM_EXPORT SO3kratesForce : public OpenMM::Force {
public:
    // Automatic: what the platform computes in (Reference: double; CPU: single).
    enum class Precision { Automatic, Single, Double };

    // atomicNumbers: one for each atom of the region. particles: their indices in the System, all different;
    // empty: the region is the whole System, particle i having atomicNumbers[i].
    SO3kratesForce(std::shared_ptr<const so3krates::Model> model, std::vector<int> atomicNumbers,
                   std::vector<int> particles = {});
    // modelName: a path or the name of an installed model; throws so3krates::ModelError if it cannot be used.
    SO3kratesForce(const std::string &modelName, std::vector<int> atomicNumbers, std::vector<int> particles = {});

    const so3krates::Model &getModel() const { return *model; }
    const std::shared_ptr<const so3krates::Model> &getModelPointer() const { return model; }
    const std::vector<int> &getAtomicNumbers() const { return atomicNumbers; }
    // As given: empty if the region is the whole System.
    const std::vector<int> &getParticles() const { return particles; }

    // Total charge of the region (e) and its number of unpaired electrons. A Context takes later changes of these two
    // and of the scale up by updateParametersInContext(), all other settings when it is created or reinitialized.
    double getCharge() const { return charge; }
    void setCharge(double value);
    double getSpin() const { return spin; } // 0 or more
    void setSpin(double value);
    void updateParametersInContext(OpenMM::Context &context);

    // Energy and forces are the model's times scale, times the value of a Context parameter if one is named. Where
    // the product is 0 nothing is computed. Any finite number.
    double getScale() const { return scale; }
    void setScale(double value);
    // Empty: none. Several forces may name one parameter; OpenMM wants the same default of all of them.
    const std::string &getScaleParameter() const { return scaleParameter; }
    double getScaleParameterDefault() const { return scaleParameterDefault; }
    void setScaleParameter(const std::string &name, double defaultValue = 1);
    // Asks for the derivative of the energy by a parameter, which must be the one above.
    void addEnergyParameterDerivative(const std::string &name);
    bool hasEnergyParameterDerivative() const { return energyParameterDerivative; }

    // The model at the current positions of a Context whose System holds this force; one evaluation without forces.
    // The parts of the energy are scaled, so that their sum is this force's energy; all else is the model's.
    SO3kratesPrediction getPrediction(OpenMM::Context &context) const;
    // What computes this force in a Context, for people: "CPU avx2 single", "CUDA NVIDIA H200, sm_90 single, CUDA
    // graph".
    std::string getImplementation(OpenMM::Context &context) const;

    // nm; infinity: none, which needs a region that is not periodic. Default: the model's.
    double getLRCutoff() const { return lrCutoff; }
    void setLRCutoff(double value);
    // nm, width of the interval below the cutoff in which dispersion fades. Default: the model's.
    double getDispersionSwitchWidth() const { return dispersionSwitchWidth; }
    void setDispersionSwitchWidth(double value);

    bool usesPeriodicBoundaryConditions() const override { return periodic; }
    void setUsesPeriodicBoundaryConditions(bool value) { periodic = value; }
    Precision getPrecision() const { return precision; }
    void setPrecision(Precision value) { precision = value; }
    // Compute elements the model has rows for but was not trained on, instead of refusing them.
    bool getAllowUntrainedElements() const { return allowUntrainedElements; }
    void setAllowUntrainedElements(bool value) { allowUntrainedElements = value; }
    // Write the whole model file into the XML, not only its name and hash.
    bool getEmbedModel() const { return embedModel; }
    void setEmbedModel(bool value) { embedModel = value; }

    // Pairs of particle indices that belong to one molecule. The energy knows nothing of bonds; OpenMM keeps
    // molecules whole by them when it wraps positions and when a barostat scales the box.
    const std::vector<std::pair<int, int>> &getBonds() const { return bonds; }
    void setBonds(std::vector<std::pair<int, int>> value);

protected:
    OpenMM::ForceImpl *createImpl() const override;

private:
    std::shared_ptr<const so3krates::Model> model;
    std::vector<int> atomicNumbers, particles;
    std::vector<std::pair<int, int>> bonds;
    double charge = 0, spin = 0, lrCutoff, dispersionSwitchWidth;
    double scale = 1, scaleParameterDefault = 1;
    std::string scaleParameter;
    Precision precision = Precision::Automatic;
    bool energyParameterDerivative = false;
    bool periodic = false, allowUntrainedElements = false, embedModel = false;
};

} // namespace SO3kratesPlugin
