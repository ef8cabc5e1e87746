#pragma once
// Evaluations of a DevicePotential, recorded once and replayed: small systems are bound by launches.

#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "cuda/device_potential.h"

namespace so3krates::cuda {

// RecordingDevice: what `potential` computes on, with record() and replay().
template <class RecordingDevice> class Replay {
public:
    // enabled: false: never records.
    Replay(std::shared_ptr<RecordingDevice> device, bool enabled) : device(std::move(device)), enabled(enabled) {}

    // Evaluates `potential`, which has been prepared, at the positions that are in its buffers, as often as its lists
    // need. Throws what DevicePotential::finish() throws.
    void run(DevicePotential &potential) {
        do
            start(potential);
        while (!potential.finish());
    }
    // Whether the last evaluation was a replay.
    bool isReplaying() const { return replayed; }

private:
    using Recording = decltype(std::declval<RecordingDevice>().record(nullptr));
    struct Evaluation {
        unsigned long generation;
        std::optional<Recording> recording; // none: seen once
    };

    void start(DevicePotential &potential) {
        replayed = false;
        if (!enabled)
            return potential.enqueue();
        const unsigned long generation = potential.generation();
        for (Evaluation &known : evaluations)
            if (known.generation == generation) {
                // Not the first time: that one may not come again, and loads kernels, which must not be recorded.
                if (!known.recording)
                    known.recording.emplace(device->record([&] { potential.enqueue(); }));
                device->replay(graphIn(*known.recording));
                replayed = true;
                return;
            }
        evaluations.push_front({generation, std::nullopt});
        if (evaluations.size() > kept)
            evaluations.pop_back();
        potential.enqueue();
    }
    template <class Graph> static const Graph &graphIn(const std::unique_ptr<Graph> &recording) { return *recording; }
    template <class Graph> static const Graph &graphIn(const Graph &recording) { return recording; }

    static constexpr size_t kept = 2;        // with forces and without
    std::shared_ptr<RecordingDevice> device; // outlives the recordings
    bool enabled, replayed = false;
    std::list<Evaluation> evaluations;
};

} // namespace so3krates::cuda
