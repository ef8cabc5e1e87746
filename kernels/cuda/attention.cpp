#include "cuda/attention.h"

#include <string>

#include "cuda/device/attention_layout.h"

namespace so3krates::cuda {

void checkAttentionShape(const Hyperparameters &hyper) {
    constexpr int maxThreads = 1024; // of a block, on every GPU
    const int threads = attentionThreads(hyper.numFeatures, hyper.numHeads, hyper.numDegrees());
    if (threads > maxThreads)
        throw ModelError("num_features = " + std::to_string(hyper.numFeatures) + " with " +
                         std::to_string(hyper.numHeads) + " heads and " + std::to_string(hyper.numDegrees()) +
                         " degrees needs " + std::to_string(threads) + " threads per atom, and a GPU has " +
                         std::to_string(maxThreads) + "; evaluate this model on the CPU");
}

} // namespace so3krates::cuda
