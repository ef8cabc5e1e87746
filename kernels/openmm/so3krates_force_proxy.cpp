#include "so3krates_force_proxy.h"

#include <memory>

#include "base64.h"
#include "model_registry.h"
#include "openmm/OpenMMException.h"
#include "openmm/serialization/SerializationNode.h"
#include "so3krates_force.h"

using OpenMM::OpenMMException;
using OpenMM::SerializationNode;
using so3krates::Model;
using Precision = SO3kratesPlugin::SO3kratesForce::Precision;

namespace SO3kratesPlugin {

static const int FORMAT_VERSION = 2; // 1 knew no scale

static std::string precisionName(Precision precision) {
    return precision == Precision::Single ? "single" : precision == Precision::Double ? "double" : "auto";
}

static Precision precisionNamed(const std::string &name) {
    for (Precision precision : {Precision::Automatic, Precision::Single, Precision::Double})
        if (name == precisionName(precision))
            return precision;
    throw OpenMMException("SO3kratesForce: the XML names the unknown precision '" + name + "'");
}

void SO3kratesForceProxy::serialize(const void *object, SerializationNode &node) const {
    const auto &force = *static_cast<const SO3kratesForce *>(object);
    node.setIntProperty("version", FORMAT_VERSION);
    node.setIntProperty("forceGroup", force.getForceGroup());
    node.setStringProperty("name", force.getName());
    node.setDoubleProperty("charge", force.getCharge());
    node.setDoubleProperty("spin", force.getSpin());
    node.setDoubleProperty("lrCutoff", force.getLRCutoff());
    node.setDoubleProperty("dispersionSwitchWidth", force.getDispersionSwitchWidth());
    node.setBoolProperty("usesPeriodic", force.usesPeriodicBoundaryConditions());
    node.setStringProperty("precision", precisionName(force.getPrecision()));
    node.setBoolProperty("allowUntrainedElements", force.getAllowUntrainedElements());
    node.setDoubleProperty("scale", force.getScale());
    node.setStringProperty("scaleParameter", force.getScaleParameter());
    node.setDoubleProperty("scaleParameterDefault", force.getScaleParameterDefault());
    node.setBoolProperty("energyParameterDerivative", force.hasEnergyParameterDerivative());
    const Model &model = force.getModel();
    SerializationNode &modelNode = node.createChildNode("Model");
    modelNode.setStringProperty("name", model.name());
    modelNode.setStringProperty("sha256", model.sha256());
    if (force.getEmbedModel())
        modelNode.setStringProperty("file", encodeBase64(model.bytes()));
    const std::vector<int> &particles = force.getParticles();
    node.setBoolProperty("wholeSystem", particles.empty());
    SerializationNode &atoms = node.createChildNode("Atoms");
    for (size_t i = 0; i < force.getAtomicNumbers().size(); i++) {
        SerializationNode &atom = atoms.createChildNode("Atom");
        if (!particles.empty())
            atom.setIntProperty("particle", particles[i]);
        atom.setIntProperty("z", force.getAtomicNumbers()[i]);
    }
    SerializationNode &bonds = node.createChildNode("Bonds");
    for (const auto &bond : force.getBonds())
        bonds.createChildNode("Bond").setIntProperty("p1", bond.first).setIntProperty("p2", bond.second);
}

static std::shared_ptr<const Model> findModel(const SerializationNode &node) {
    const std::string name = node.getStringProperty("name");
    const std::string sha256 = node.getStringProperty("sha256");
    if (auto model = ModelRegistry::find(sha256))
        return model;
    std::shared_ptr<const Model> model;
    const bool embedded = node.hasProperty("file");
    try {
        model = embedded ? Model::fromBytes(decodeBase64(node.getStringProperty("file")), name) : Model::load(name);
    } catch (const std::exception &error) {
        throw OpenMMException("SO3kratesForce: the XML needs the model '" + name + "' (SHA-256 " + sha256 + "), " +
                              (embedded ? "but the copy embedded in it is damaged: "
                                        : "which could not be loaded; put its file there or install it, or write the "
                                          "XML with the model embedded (embed_model=True): ") +
                              error.what());
    }
    if (model->sha256() != sha256)
        throw OpenMMException(
            "SO3kratesForce: the XML was written with another model '" + name + "': it names SHA-256 " + sha256 +
            (embedded ? ", but the copy embedded in it has " : ", but the file of that name here has ") +
            model->sha256() +
            (embedded ? "; write the XML again"
                      : "; put the original file in its place, or write the XML with the model embedded "
                        "(embed_model=True), or, if the new model is meant, build the force anew with it"));
    return model;
}

void *SO3kratesForceProxy::deserialize(const SerializationNode &node) const {
    const int version = node.getIntProperty("version");
    if (version < 1 || version > FORMAT_VERSION)
        throw OpenMMException("SO3kratesForce: the XML is of version " + std::to_string(version) +
                              ", this library reads versions 1 to " + std::to_string(FORMAT_VERSION) +
                              "; use the openmm-so3krates that wrote it, or a newer one");
    const SerializationNode &modelNode = node.getChildNode("Model");
    std::vector<int> particles, atomicNumbers;
    const bool wholeSystem = node.getBoolProperty("wholeSystem");
    for (const SerializationNode &atom : node.getChildNode("Atoms").getChildren()) {
        if (!wholeSystem)
            particles.push_back(atom.getIntProperty("particle"));
        atomicNumbers.push_back(atom.getIntProperty("z"));
    }
    auto force = std::make_unique<SO3kratesForce>(findModel(modelNode), atomicNumbers, particles);
    force->setForceGroup(node.getIntProperty("forceGroup"));
    force->setName(node.getStringProperty("name"));
    force->setCharge(node.getDoubleProperty("charge"));
    force->setSpin(node.getDoubleProperty("spin"));
    force->setLRCutoff(node.getDoubleProperty("lrCutoff"));
    force->setDispersionSwitchWidth(node.getDoubleProperty("dispersionSwitchWidth"));
    force->setUsesPeriodicBoundaryConditions(node.getBoolProperty("usesPeriodic"));
    force->setPrecision(precisionNamed(node.getStringProperty("precision")));
    force->setAllowUntrainedElements(node.getBoolProperty("allowUntrainedElements"));
    force->setEmbedModel(modelNode.hasProperty("file"));
    if (version >= 2) {
        force->setScale(node.getDoubleProperty("scale"));
        force->setScaleParameter(node.getStringProperty("scaleParameter"),
                                 node.getDoubleProperty("scaleParameterDefault"));
        if (node.getBoolProperty("energyParameterDerivative"))
            force->addEnergyParameterDerivative(force->getScaleParameter());
    }
    std::vector<std::pair<int, int>> bonds;
    for (const SerializationNode &bond : node.getChildNode("Bonds").getChildren())
        bonds.emplace_back(bond.getIntProperty("p1"), bond.getIntProperty("p2"));
    force->setBonds(bonds);
    return static_cast<OpenMM::Force *>(force.release());
}

} // namespace SO3kratesPlugin
