#pragma once
// An evaluation of one molecule between arrays of somebody else on the same GPU, the energy included (torch operators).
// Nothing of it needs the host, so that it can be part of the caller's CUDA graph.

#include <cstddef>

#include "cuda/device.h"
#include "cuda/device_potential.h"

namespace so3krates::cuda {

// By which share neighbors may become more, and boxes smaller, in a replayed graph than at the evaluation before it was
// recorded. For makeCudaPotential().
constexpr double graphHeadroom = 0.5;

struct DeviceTensor {
    const void *data = nullptr;
    std::ptrdiff_t strides[2] = {0, 0}; // bytes
    bool isSingle = false;              // float, else double
};

struct DeviceTensors {
    DeviceTensor positions; // [N][3] Å
    DeviceTensor cell;      // [3][3] Å; no data: system.cells has it, or there is none
    // Contiguous, written.
    double *energy = nullptr;                                      // eV
    void *forces = nullptr, *charges = nullptr, *virial = nullptr; // [N][3] eV/Å, [N] e, [3][3] eV or null: not wanted
    bool isSingle = false;                                         // they are float, else double
    void *stream = nullptr; // CUstream on which positions are made, and the results' memory becomes free
};

// system: one molecule; positions are not read, cells are also where `cell` has data. Waits for the end of the
// evaluation, so that what it wrote can be used on any stream. Throws as DevicePotential, and DeviceError: arrays on
// another GPU or none.
void compute(DevicePotential &potential, Device &device, const System &system, const DeviceTensors &tensors);

// Whether record() of this can go ahead: the last compute() was of the same, except for positions and where they and
// the results are, and for the numbers in a `cell` that has data.
bool canRecord(const DevicePotential &potential, const System &system, const DeviceTensors &tensors);

// Puts the evaluation into the graph that the caller records on tensors.stream. Neither allocates nor waits, and a
// replay needs nobody: where compute() would throw, and where lists or boxes outgrow their headroom, all results are
// NaN, and so are those of every replay after it. The potential and its memory then belong to the graph: no other call
// may be made, as it would change them.
void record(DevicePotential &potential, Device &device, const System &system, const DeviceTensors &tensors);

} // namespace so3krates::cuda
