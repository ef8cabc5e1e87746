// The one translation unit of the device code: every file with kernels, one line each. Compiled by NVRTC for a GPU, and
// by a host compiler for the emulation of the tests.
#pragma once

#include "cuda/device/arguments.h"

#include "cuda/device/self_test.cuh"
#include "cuda/device/atom_backward.cuh"
#include "cuda/device/charges.cuh"
#include "cuda/device/energies.cuh"
#include "cuda/device/heads.cuh"
#include "cuda/device/long_range.cuh"
