#pragma once
// A Potential between NumPy arrays.

#include <functional>

#include <pybind11/numpy.h>

#include "potential.h"

namespace so3krates {

using Doubles = pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>;
using Ints = pybind11::array_t<int, pybind11::array::c_style | pybind11::array::forcecast>;

// Runs compute() without Python's lock. Arrays as in struct System (cells may be empty); returns a dictionary of
// arrays: energies [molecules][total, network, zbl, electrostatics, dispersion], partial_charges, hirshfeld_ratios,
// dipoles and, if wanted, forces and virials.
pybind11::dict computeArrays(const std::function<void(const System &, const Results &)> &compute,
                             const Ints &atomicNumbers, const Doubles &positions, const Ints &offsets,
                             const Doubles &cells, const Doubles &charges, const Doubles &spins, bool forces,
                             bool virial);

} // namespace so3krates
