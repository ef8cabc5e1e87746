#pragma once

#include <string>

namespace so3krates {

// Where installed models and compiled kernels are kept; need not exist. $SO3KRATES_HOME, or (unset)
// $XDG_CACHE_HOME/openmm-so3krates, or ~/.cache/openmm-so3krates. openmm_so3krates/models.py follows the same rule.
std::string cacheFolder();

} // namespace so3krates
