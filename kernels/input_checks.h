#pragma once
// What every backend checks before it computes anything.

#include "potential.h"

namespace so3krates {

// Fills in the model's defaults and checks the cutoffs. Throws InputError.
Options completeOptions(const Model &model, Options options);
// Everything but the positions. elementRows: how many rows the model's element tables have. Throws InputError.
void checkComposition(const Model &model, int elementRows, const Options &options, const System &system);
// Throws InputError: positions that are not finite numbers below 1e8 Å.
void checkPositions(const System &system);

} // namespace so3krates
