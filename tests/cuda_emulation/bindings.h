#pragma once
// What the parts of an emulated module (_emulated_<shape>) offer to the tests, each in a file of its own.

#include <pybind11/pybind11.h>

#include "emulated_device.h"

void bindSelfTest(pybind11::module_ &module);
void bindBanks(pybind11::module_ &module);
void bindDense(pybind11::module_ &module);
void bindNeighbors(pybind11::module_ &module);
void bindAttention(pybind11::module_ &module);
void bindPotential(pybind11::module_ &module);
