#pragma once
// Which models the attention kernels can take (device/attention_layout.h).

#include "model/model.h"

namespace so3krates::cuda {

// Throws ModelError if an atom needs more threads than a GPU allows in a block.
void checkAttentionShape(const Hyperparameters &hyper);

} // namespace so3krates::cuda
