#pragma once

#include <pybind11/pybind11.h>

// The CUDA driver layer in Python: cuda_info, compile_kernels, CudaDevice.
void bindCuda(pybind11::module_ &module);
