#pragma once
// An order of the atoms in which neighbors in space are neighbors in memory.

#include <vector>

#include "neighbors/box.h"
#include "potential.h"

namespace so3krates {

// order[k]: the atom at place k. Molecules stay where they are, each with its atoms along a space-filling curve
// (Morton) through small cells; depends on these positions alone. Positions must be finite.
void spatialOrder(const System &system, const std::vector<Box> &boxes, std::vector<int> &order);

} // namespace so3krates
