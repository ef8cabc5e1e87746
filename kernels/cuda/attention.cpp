#include "cuda/attention.h"

#include <algorithm>
#include <string>

#include "cuda/device/attention_layout.h"
#include "cuda/device/tile_layout.h"
#include "radial/radial_basis.h"

namespace so3krates::cuda {

namespace {

constexpr int maxThreads = 1024; // of a block, on every GPU

int threadsOf(const Hyperparameters &hyper) {
    return attentionThreads(hyper.numFeatures, hyper.numHeads, hyper.numDegrees());
}

// A block of threads per atom.
template <class Arguments>
void launchPerAtom(Device &device, const char *kernel, int threads, const Arguments &arguments) {
    LaunchSize size;
    size.blocks = unsigned(arguments.atoms.numAtoms);
    size.threads = unsigned(threads);
    device.launch(kernel, size, &arguments, sizeof(arguments));
}

// As many blocks as run at once (one less per multiprocessor with 64 features where it has 100 kB of shared memory):
// they take all receivers between them.
template <class Arguments>
void launchTiled(Device &device, const char *kernel, const Hyperparameters &hyper, const Arguments &arguments) {
    const int threads = tiledThreads(hyper.numHeads, hyper.numDegrees());
    const int most = device.numMultiprocessors() * tiledBlocksPerMultiprocessor(threads);
    const LaunchSize size{unsigned(std::min(arguments.atoms.numAtoms, most)), unsigned(threads)};
    device.launch(kernel, size, &arguments, sizeof(arguments));
}

} // namespace

void checkAttentionShape(const Hyperparameters &hyper) {
    const int threads = threadsOf(hyper);
    if (threads > maxThreads)
        throw ModelError("num_features = " + std::to_string(hyper.numFeatures) + " with " +
                         std::to_string(hyper.numHeads) + " heads and " + std::to_string(hyper.numDegrees()) +
                         " degrees needs " + std::to_string(threads) + " threads per atom, and a GPU has " +
                         std::to_string(maxThreads) + "; evaluate this model on the CPU");
}

std::vector<double> basisParameters(const Model &model) { return RadialBasisFunctions(model).parameters(); }

template <class T>
void launchAttentionForward(Device &device, const Hyperparameters &hyper, const AttentionArguments<T> &arguments) {
    if (arguments.weights.jointTable)
        launchTiled(device, "so3kTiledAttentionForward", hyper, arguments);
    else
        launchPerAtom(device, "so3kAttentionForward", threadsOf(hyper), arguments);
}

template <class T>
void launchAttentionBackward(Device &device, const Hyperparameters &hyper, const AttentionArguments<T> &arguments) {
    if (arguments.weights.jointTable)
        launchTiled(device, "so3kTiledAttentionBackward", hyper, arguments);
    else
        launchPerAtom(device, "so3kAttentionBackward", threadsOf(hyper), arguments);
}

template <class T> void launchInitialEuclidean(Device &device, const InitialEuclideanArguments<T> &arguments) {
    launchPerAtom(device, "so3kInitialEuclidean", 32, arguments);
}

template <class T> void launchInitialEuclideanBackward(Device &device, const InitialEuclideanArguments<T> &arguments) {
    launchPerAtom(device, "so3kInitialEuclideanBackward", 32, arguments);
}

template void launchAttentionForward(Device &, const Hyperparameters &, const AttentionArguments<float> &);
template void launchAttentionForward(Device &, const Hyperparameters &, const AttentionArguments<double> &);
template void launchAttentionBackward(Device &, const Hyperparameters &, const AttentionArguments<float> &);
template void launchAttentionBackward(Device &, const Hyperparameters &, const AttentionArguments<double> &);
template void launchInitialEuclidean(Device &, const InitialEuclideanArguments<float> &);
template void launchInitialEuclidean(Device &, const InitialEuclideanArguments<double> &);
template void launchInitialEuclideanBackward(Device &, const InitialEuclideanArguments<float> &);
template void launchInitialEuclideanBackward(Device &, const InitialEuclideanArguments<double> &);

} // namespace so3krates::cuda
