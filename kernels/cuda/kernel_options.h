#pragma once
// A model's shape and choices as the macros that the device code is compiled with (SO3K_F, SO3K_HEADS, ...).

#include <string>
#include <utility>
#include <vector>

#include "potential.h"

namespace so3krates::cuda {

using Macros = std::vector<std::pair<std::string, std::string>>; // name, value; always in the same order

// SO3KRATES_TENSOR_CORES=0 in the environment: no tensor cores (device/tensor.cuh), for comparison.
bool wantTensorCores();

// Two models with the same macros run the same machine code. Weights, cutoffs and other numbers are no macros: kernels
// get those as arguments.
Macros kernelMacros(const Hyperparameters &hyper, Precision precision);

} // namespace so3krates::cuda
