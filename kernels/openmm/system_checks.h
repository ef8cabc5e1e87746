#pragma once
// Whether a SO3kratesForce fits a System.

#include <functional>
#include <string>

#include "export.h"
#include "openmm/System.h"
#include "so3krates_force.h"

namespace SO3kratesPlugin {

// Throws OpenMM::OpenMMException, naming the cause and the mend, if the System cannot be computed (too few or too
// many particles, periodic without a cutoff, elements the model was not trained on). Warns of what is
// allowed but rarely meant (massless or constrained atoms).
void checkSystem(const OpenMM::System &system, const SO3kratesForce &force);

// Where warnings go: standard error, unless a handler is set (Python sets one that calls warnings.warn).
// The handler may throw OpenMM::OpenMMException to make an error of the warning.
SO3KRATES_OPENMM_EXPORT void setWarningHandler(std::function<void(const std::string &)> handler);

} // namespace SO3kratesPlugin
