#pragma once

#include "attention_operator.h"
#include "cuda/device.h"

namespace so3krates::cuda {

// Arrays lie in the device's memory, but for the cell and the strain. compute() waits for the end.
// Throws ModelError, DeviceError.
template <class T>
std::unique_ptr<AttentionOperator<T>> makeAttentionOperator(std::shared_ptr<const Model> model,
                                                            std::shared_ptr<Device> device);

} // namespace so3krates::cuda
