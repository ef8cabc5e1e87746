#pragma once
// Weights of the per-atom parts' products in the layout of device/dense_layout.h.

#include <vector>

namespace so3krates::cuda {

// weight: [blocks][ins][outs]. What pads tiles is zero.
std::vector<double> denseWeights(const std::vector<double> &weight, int blocks, int ins, int outs);

} // namespace so3krates::cuda
