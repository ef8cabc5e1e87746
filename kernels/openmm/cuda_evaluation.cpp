#include "cuda_evaluation.h"

#include <cstdlib>
#include <cstring>

#include "cuda/cuda_potential.h"
#include "cuda/driver/nvidia_device.h"
#include "cuda/driver/nvrtc.h"
#include "cuda/replay.h"
#include "input_checks.h"
#include "openmm/OpenMMException.h"

namespace cuda = so3krates::cuda;

namespace SO3kratesPlugin {

static bool graphsAreWanted() {
    const char *value = std::getenv("SO3KRATES_CUDA_GRAPHS");
    return value == nullptr || std::strcmp(value, "0") != 0;
}

static std::shared_ptr<cuda::NvidiaDevice> openDevice(const SO3kratesForce &force, so3krates::Precision precision) {
    cuda::NvidiaOptions options;
    options.stream.emplace(nullptr); // the default one, on which OpenMM computes
    return cuda::NvidiaDevice::open(cuda::kernelMacros(force.getModel().hyperparameters(), precision), options);
}

// Its members die in the reverse order: recordings and buffers before the device.
struct CudaEvaluation::Engine {
    Engine(const SO3kratesForce &force, const so3krates::Options &options)
        : device(openDevice(force, options.precision)),
          potential(cuda::makeCudaPotential(force.getModelPointer(),
                                            so3krates::completeOptions(force.getModel(), options), device)),
          replay(device, graphsAreWanted()) {}
    std::shared_ptr<cuda::NvidiaDevice> device;
    std::unique_ptr<cuda::DevicePotential> potential;
    cuda::Replay<cuda::NvidiaDevice> replay;
};

CudaEvaluation::CudaEvaluation(const SO3kratesForce &force, bool doubleByDefault) {
    try {
        engine = std::make_unique<Engine>(force, engineOptions(force, doubleByDefault));
    } catch (const std::exception &error) {
        throw OpenMM::OpenMMException(std::string("SO3kratesForce: ") + error.what());
    }
}

CudaEvaluation::~CudaEvaluation() = default;

double *CudaEvaluation::prepare(const Region &region, bool forces) {
    try {
        engine->potential->prepare(region.system(), forces, false);
        return engine->potential->buffers().positions;
    } catch (const std::exception &error) {
        region.fail(error);
    }
}

void CudaEvaluation::download(std::vector<double> &positions, const Region &region) const {
    try {
        engine->device->download(positions.data(), engine->potential->buffers().positions,
                                 positions.size() * sizeof(double));
    } catch (const std::exception &error) {
        region.fail(error);
    }
}

const double *CudaEvaluation::run(const Region &region) {
    try {
        engine->replay.run(*engine->potential);
        return engine->potential->buffers().forces;
    } catch (const std::exception &error) {
        region.fail(error);
    }
}

so3krates::Energies CudaEvaluation::energies(const Region &region) {
    so3krates::Energies energies;
    so3krates::Results results;
    results.energies = &energies;
    try {
        engine->potential->download(results);
    } catch (const std::exception &error) {
        region.fail(error);
    }
    return energies;
}

so3krates::Potential &CudaEvaluation::potential() { return *engine->potential; }

std::string CudaEvaluation::description() const {
    return engine->potential->implementation() + (engine->replay.isReplaying() ? ", CUDA graph" : "");
}

void setNvrtcFolders(const std::vector<std::string> &folders) { cuda::setNvrtcFolders(folders); }

} // namespace SO3kratesPlugin
