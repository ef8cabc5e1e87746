#pragma once
// What every backend checks before it computes anything.

#include "potential.h"

namespace so3krates {

// Fills in the model's defaults and checks the cutoffs. Throws InputError.
Options completeOptions(const Model &model, Options options);
// elementRows: how many rows the model's element tables have. Throws InputError.
void checkSystem(const Model &model, int elementRows, const Options &options, const System &system);

} // namespace so3krates
