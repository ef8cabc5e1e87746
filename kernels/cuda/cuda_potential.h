#pragma once
// The CUDA backend: an evaluation as a sequence of kernel launches on a Device.

#include "cuda/device.h"
#include "cuda/device_potential.h"

namespace so3krates::cuda {

// options: with the model's defaults filled in. headroom: as DeviceNeighborLists::Settings. Throws ModelError,
// InputError, DeviceError.
std::unique_ptr<DevicePotential> makeCudaPotential(std::shared_ptr<const Model> model, const Options &options,
                                                   std::shared_ptr<Device> device, double headroom = 0);

} // namespace so3krates::cuda
