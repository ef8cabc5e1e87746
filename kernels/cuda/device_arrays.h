#pragma once
// An evaluation between arrays of somebody else on the same GPU (torch, CuPy).

#include <cstddef>

#include "cuda/device.h"
#include "cuda/device_potential.h"

namespace so3krates::cuda {

struct DeviceArrays {
    const void *positions = nullptr;    // [N][3] Å
    std::ptrdiff_t strides[2] = {0, 0}; // bytes from one atom, and from one component, to the next
    bool isSingle = false;              // positions are float, else double
    // Contiguous, written; null: not wanted.
    double *forces = nullptr;          // [N][3] eV/Å
    double *partialCharges = nullptr;  // [N] e
    double *hirshfeldRatios = nullptr; // [N]
    void *stream = nullptr;            // CUstream on which positions are made, and the results' memory becomes free
};

// system.positions is not read. results: energies, virials and dipoles, on the host. Waits for the end of the
// evaluation, so that what it wrote can be used on any stream. Throws as DevicePotential, and DeviceError: arrays on
// another GPU or none.
void compute(DevicePotential &potential, Device &device, const System &system, const DeviceArrays &arrays,
             const Results &results);

} // namespace so3krates::cuda
