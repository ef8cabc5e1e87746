#pragma once
// The potentials behind the operator. TorchScript modules can hold tensors but no C++ objects of ours, so a module
// holds a description of its potential, and this is where descriptions become potentials, once per process.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "potential.h"
#include "threads/fork_safe_team.h"

namespace so3krates::torch {

// What the operator's argument `model` says, a JSON object with all of these members:
// {"model": NAME OR PATH, "sha256": "...", "precision": "auto" | "single" | "double", "lr_cutoff": Å | null,
//  "dispersion_switch_width": Å | null, "threads": NUMBER, "radial_table": true, "allow_untrained_elements": false}
struct Description {
    std::string model, sha256;
    std::optional<Precision> precision; // none: that of the positions
    Options options;
    int threads = 0; // 0: one per processor this process may use
};

// Throws InputError if the text is not such a description.
Description readDescription(const std::string &text);

// One potential, used by one caller at a time.
class SharedPotential {
public:
    SharedPotential(std::unique_ptr<Potential> potential, int threads)
        : potential(std::move(potential)), team(threads) {}
    void compute(const System &system, const Results &results) {
        std::lock_guard<std::mutex> lock(mutex); // one work space: calls take turns
        potential->compute(system, results, team.get());
    }

private:
    std::mutex mutex;
    std::unique_ptr<Potential> potential;
    ForkSafeTeam team;
};

// The potential of this description; `precision` holds where the description leaves it open. The few used last are
// kept. A new one takes the model from the file's bytes that `embeddedFile` returns (empty: from the path or name in
// the description). Throws ModelError if there is no such model or its SHA-256 is another, InputError if a setting
// cannot be used.
std::shared_ptr<SharedPotential> findPotential(const std::string &description, Precision precision,
                                               const std::function<std::string()> &embeddedFile);

} // namespace so3krates::torch
