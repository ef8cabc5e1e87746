#pragma once
// Initial features x0 from element, total charge and spin: constant for a composition, so computed in double and kept.

#include <vector>

#include "model/model.h"
#include "potential.h"

namespace so3krates::cpu {

// [N][F] unpadded.
std::vector<double> initialFeatures(const Model &model, const System &system);

} // namespace so3krates::cpu
