#pragma once

#include <optional>

#include <pybind11/pybind11.h>

#include "cuda/device.h"
#include "potential.h"

// The CUDA driver layer in Python: cuda_info, compile_kernels, CudaDevice.
void bindCuda(pybind11::module_ &module);

// The GPU of this index with the kernels for models of this shape; nothing: that of the current context, or the first
// one. Throws DeviceError: no driver, no GPU, no NVRTC.
std::shared_ptr<so3krates::cuda::Device> openCudaDevice(const so3krates::Hyperparameters &shape,
                                                        so3krates::Precision precision, std::optional<int> index);
