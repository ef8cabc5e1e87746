#pragma once
// SO3kratesForce to XML and back.

#include "openmm/serialization/SerializationProxy.h"

namespace SO3kratesPlugin {

// The XML names the model and its SHA-256; the model is then looked for among those in use in this process, in the
// XML itself (if it was embedded), and under its name, in this order. A file with another hash is refused.
class SO3kratesForceProxy : public OpenMM::SerializationProxy {
public:
    SO3kratesForceProxy() : OpenMM::SerializationProxy("SO3kratesForce") {}
    void serialize(const void *object, OpenMM::SerializationNode &node) const override;
    void *deserialize(const OpenMM::SerializationNode &node) const override;
};

} // namespace SO3kratesPlugin
