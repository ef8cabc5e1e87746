#pragma once
// The potentials behind the operator. TorchScript modules can hold tensors but no C++ objects of ours, so a module
// holds a description of its potential, and this is where descriptions become potentials, once per process.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cuda/device_tensors.h"
#include "cuda/driver/graph.h"
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
    // gpu: that one (in the context that is current, if it is of that GPU, else in its primary one, which is torch's);
    // none: the CPU. threads: as makeThreadTeam(), unused on a GPU. Throws InputError, DeviceError.
    SharedPotential(std::shared_ptr<const Model> model, const Options &options, int threads, std::optional<int> gpu);
    // On the CPU.
    void compute(const System &system, const Results &results);
    // On the GPU.
    void compute(const System &system, const cuda::DeviceTensors &tensors);
    // Into the graph that the caller records on tensors.stream, instead. Throws InputError unless the last call was
    // the same, but for positions and box (a box on the CPU included).
    void record(const System &system, const cuda::DeviceTensors &tensors, const cuda::CallersRecording &recording);

private:
    void refuseFork() const;
    std::mutex mutex; // one work space: calls take turns
    std::unique_ptr<Potential> potential;
    ForkSafeTeam team;
    // On a GPU.
    std::shared_ptr<const Model> model;
    Options options;
    std::shared_ptr<cuda::Device> device;
    std::unique_ptr<cuda::DevicePotential> devicePotential; // null: a graph has taken it; made when it is needed
};

// Throws InputError: a graph is recorded, and what it is to hold was not called before.
[[noreturn]] void refuseFirstCallInGraph();

// The potential of this description on this GPU, or on the CPU; `precision` holds where the description leaves it open.
// The few used last are kept. A new one takes the model from the file's bytes that `embeddedFile` returns (empty: from
// the path or name in the description); without that function there is none, and null is returned. Throws ModelError if
// there is no such model or its SHA-256 is another, InputError if a setting cannot be used, DeviceError if the GPU
// cannot.
std::shared_ptr<SharedPotential> findPotential(const std::string &description, Precision precision,
                                               std::optional<int> gpu,
                                               const std::function<std::string()> &embeddedFile);

} // namespace so3krates::torch
