#include "input_checks.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace so3krates {

namespace {
constexpr double largestPosition = 1e8;  // Å
constexpr double largestLrCutoff = 1000; // Å, as in model files: single precision takes its unit of length from it
} // namespace

Options completeOptions(const Model &model, Options options) {
    const Hyperparameters &h = model.hyperparameters();
    if (std::isnan(options.lrCutoff))
        options.lrCutoff = h.lrCutoff;
    if (std::isnan(options.dispersionSwitchWidth))
        options.dispersionSwitchWidth = h.dispersionSwitchWidth;
    if (!(options.lrCutoff > 0))
        throw InputError("lr_cutoff must be a positive length, or none");
    if (options.lrCutoff > largestLrCutoff && !std::isinf(options.lrCutoff))
        throw InputError("lr_cutoff may be 1000 Å at most, or none for no cutoff at all");
    if (!(options.dispersionSwitchWidth > 0) || std::isinf(options.dispersionSwitchWidth))
        throw InputError("dispersion_switch_width must be a positive length");
    return options;
}

void checkComposition(const Model &model, int elementRows, const Options &options, const System &system) {
    if (system.numAtoms < 1 || system.numMolecules < 1)
        throw InputError("there are no atoms");
    if (system.offsets) {
        bool rising = system.offsets[0] == 0 && system.offsets[system.numMolecules] == system.numAtoms;
        for (int m = 0; m < system.numMolecules && rising; m++)
            rising = system.offsets[m] < system.offsets[m + 1];
        if (!rising)
            throw InputError("offsets must rise from 0 to the number of atoms, with at least one atom per molecule");
    } else if (system.numMolecules != 1) {
        throw InputError("several molecules need offsets");
    }
    const std::vector<int> &elements = model.hyperparameters().elements;
    for (int i = 0; i < system.numAtoms; i++) {
        const int z = system.atomicNumbers[i];
        const bool trained = std::binary_search(elements.begin(), elements.end(), z);
        auto who = [&] {
            return "atom " + std::to_string(i) + " (counted from 0) has atomic number " + std::to_string(z) + ", ";
        };
        auto known = [&] {
            std::string list;
            for (int element : elements)
                list += (list.empty() ? "" : ", ") + std::to_string(element);
            return list;
        };
        if (z < 1 || z >= elementRows)
            throw InputError(who() + "for which model '" + model.name() + "' has no numbers; it was trained for " +
                             known());
        if (!trained && !options.allowUntrainedElements)
            throw InputError(who() + "which model '" + model.name() + "' was not trained for; it knows " + known());
    }
    for (int m = 0; m < system.numMolecules; m++) {
        if (system.charges && !std::isfinite(system.charges[m]))
            throw InputError("the total charge is not a finite number");
        if (system.spins && !(std::isfinite(system.spins[m]) && system.spins[m] >= 0))
            throw InputError("the spin (number of unpaired electrons) must be a number, 0 or more");
    }
}

void checkPositions(const System &system) {
    for (long k = 0; k < 3L * system.numAtoms; k++)
        if (!(std::abs(system.positions[k]) < largestPosition))
            throw InputError("the position of atom " + std::to_string(k / 3) +
                             " (counted from 0) is not a finite number below 1e8 Å");
}

} // namespace so3krates
