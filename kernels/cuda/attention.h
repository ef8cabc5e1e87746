#pragma once
// Launches of the attention kernels (device/attention_*.cuh, device/initial_euclidean.cuh).

#include <vector>

#include "cuda/device.h"
#include "cuda/device/arguments.h"
#include "cuda/device/initial_euclidean.h"
#include "model/model.h"

namespace so3krates::cuda {

// Throws ModelError if a block of features does not fit on a GPU: more than 1024 threads per atom.
void checkAttentionShape(const Hyperparameters &hyper);

// AttentionArguments::basisParameters of a model: [2][K], as device/radial_basis.cuh has it.
std::vector<double> basisParameters(const Model &model);

// By tiles if the layer has weights for it (ModelArrays), in general otherwise.
template <class T>
void launchAttentionForward(Device &device, const Hyperparameters &hyper, const AttentionArguments<T> &arguments);
template <class T>
void launchAttentionBackward(Device &device, const Hyperparameters &hyper, const AttentionArguments<T> &arguments);
template <class T> void launchInitialEuclidean(Device &device, const InitialEuclideanArguments<T> &arguments);
template <class T> void launchInitialEuclideanBackward(Device &device, const InitialEuclideanArguments<T> &arguments);

} // namespace so3krates::cuda
