#include "potential.h"

#include "input_checks.h"

namespace so3krates {

namespace cpu {
std::unique_ptr<Potential> makeCpuPotential(std::shared_ptr<const Model> model, const Options &options);
}

std::unique_ptr<Potential> Potential::create(std::shared_ptr<const Model> model, const Options &options) {
    const Options complete = completeOptions(*model, options);
    return cpu::makeCpuPotential(std::move(model), complete);
}

} // namespace so3krates
