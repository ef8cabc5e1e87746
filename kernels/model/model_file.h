#pragma once
// What model.cpp and model_file.cpp share; not for use outside of kernels/model.

#include <map>
#include <string>
#include <vector>

#include "model/model.h"

namespace so3krates {

// From the JSON text in a model file's header; throws ModelError (unknown, missing, out of range, inconsistent).
Hyperparameters readHyperparameters(const std::string &json);

// Stands for the rows of an element table: between max(elements)+1 and maxRows of them.
constexpr int elementRows = -1;
constexpr int maxRows = 119;

// Name and shape of every tensor of a model.
std::map<std::string, std::vector<int>> expectedTensors(const Hyperparameters &hyper);

} // namespace so3krates
