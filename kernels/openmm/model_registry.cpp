#include "model_registry.h"

#include <map>
#include <mutex>
#include <utility>

namespace SO3kratesPlugin {

// Weak: the registry keeps no model alive that no force uses any more.
static std::map<std::pair<std::string, std::string>, std::weak_ptr<const so3krates::Model>> &modelsByHashAndName() {
    static std::map<std::pair<std::string, std::string>, std::weak_ptr<const so3krates::Model>> models;
    return models;
}

static std::mutex registryMutex;

std::shared_ptr<const so3krates::Model> ModelRegistry::share(const std::shared_ptr<const so3krates::Model> &model) {
    std::lock_guard<std::mutex> lock(registryMutex);
    auto &models = modelsByHashAndName();
    for (auto entry = models.begin(); entry != models.end();)
        entry = entry->second.expired() ? models.erase(entry) : std::next(entry);
    auto &registered = models[{model->sha256(), model->name()}];
    if (auto shared = registered.lock())
        return shared;
    registered = model;
    return model;
}

std::shared_ptr<const so3krates::Model> ModelRegistry::find(const std::string &sha256) {
    std::lock_guard<std::mutex> lock(registryMutex);
    auto &models = modelsByHashAndName();
    for (auto entry = models.lower_bound({sha256, ""}); entry != models.end() && entry->first.first == sha256; ++entry)
        if (auto shared = entry->second.lock())
            return shared;
    return nullptr;
}

} // namespace SO3kratesPlugin
