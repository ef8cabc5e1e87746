#pragma once
// The engine's CUDA backend for a region, in the CUDA context and on the stream of OpenMM. Here, and not in the library
// of OpenMM's CUDA platform, because only this library holds the engine's code.

#include <memory>
#include <string>
#include <vector>

#include "region.h"

namespace SO3kratesPlugin {

class SO3KRATES_OPENMM_EXPORT CudaEvaluation {
public:
    // In the CUDA context that is current, on its default stream. Evaluations are replayed as CUDA graphs unless the
    // environment variable SO3KRATES_CUDA_GRAPHS is 0. Must be gone before that context. Throws
    // OpenMM::OpenMMException, also in the other methods.
    CudaEvaluation(const SO3kratesForce &force, bool doubleByDefault);
    ~CudaEvaluation();

    // Takes up everything but the positions, and returns where they belong: [atoms][3] Å, in device memory.
    double *prepare(const Region &region, bool forces);
    // The positions that are there; waits for them.
    void download(std::vector<double> &positions, const Region &region) const;
    // Evaluates the positions that are there. Returns where the forces will be, in stream order: [atoms][3] eV/Å in
    // device memory.
    const double *run(const Region &region);
    // Of that evaluation; waits for it.
    so3krates::Energies energies(const Region &region);

    so3krates::Potential &potential(); // the same engine with arrays on the host
    std::string description() const;

private:
    struct Engine;
    std::unique_ptr<Engine> engine;
};

// Where to look for NVIDIA's run-time compiler first.
SO3KRATES_OPENMM_EXPORT void setNvrtcFolders(const std::vector<std::string> &folders);

} // namespace SO3kratesPlugin
