#pragma once

#include "attention_operator.h"
#include "cuda/device.h"

namespace so3krates::cuda {

// Arrays lie in the device's memory, but for the cell; compute() waits for the end. The strain is not computed: the
// kernels know that of an energy that does not change when everything is turned, and a message's does.
// Throws ModelError, DeviceError.
template <class T>
std::unique_ptr<AttentionOperator<T>> makeAttentionOperator(std::shared_ptr<const Model> model,
                                                            std::shared_ptr<Device> device);

} // namespace so3krates::cuda
