#pragma once
// The models that living forces use, so that copies of a force (System copies, deserialisation in this process)
// share one model and need no file.

#include <memory>
#include <string>

#include "model/model.h"

namespace SO3kratesPlugin {

class ModelRegistry {
public:
    // The registered model of the same name and SHA-256 if there is one; otherwise registers this one.
    static std::shared_ptr<const so3krates::Model> share(const std::shared_ptr<const so3krates::Model> &model);
    // A model with this SHA-256 that is in use, whatever its name; null if there is none.
    static std::shared_ptr<const so3krates::Model> find(const std::string &sha256);
};

} // namespace SO3kratesPlugin
