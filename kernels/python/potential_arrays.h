#pragma once
// A Potential between NumPy arrays.

#include <array>
#include <functional>

#include <pybind11/numpy.h>

#include "cuda/device_arrays.h"
#include "potential.h"

namespace so3krates {

using Doubles = pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>;
using Ints = pybind11::array_t<int, pybind11::array::c_style | pybind11::array::forcecast>;

// Runs compute() without Python's lock. Arrays as in struct System (cells may be empty); returns a dictionary of
// arrays: energies [molecules][total, network, zbl, electrostatics, dispersion], partial_charges, hirshfeld_ratios,
// dipoles and, if wanted, forces and virials. positions null: they, and what there is per atom, stay on a device.
pybind11::dict computeArrays(const std::function<void(const System &, const Results &)> &compute,
                             const Ints &atomicNumbers, const Doubles *positions, const Ints &offsets,
                             const Doubles &cells, const Doubles &charges, const Doubles &spins, bool forces,
                             bool virial);

// positions: (address, strides in bytes, whether float32) of memory on the GPU; outputs: addresses of forces (0: not
// wanted), partial charges and Hirshfeld ratios; stream: a CUstream. As cuda::DeviceArrays.
cuda::DeviceArrays deviceArrays(std::uintptr_t positions, const std::array<std::ptrdiff_t, 2> &strides, bool isSingle,
                                const std::array<std::uintptr_t, 3> &outputs, std::uintptr_t stream);

} // namespace so3krates
