#pragma once
// Makes SO3kratesForce known to OpenMM.

#include "export.h"

namespace SO3kratesPlugin {

// Registers the serialization proxy and the kernels of the Reference and CPU platforms. May be called again, for
// instance after more platforms have been loaded.
SO3KRATES_OPENMM_EXPORT void registerSO3krates();

} // namespace SO3kratesPlugin
