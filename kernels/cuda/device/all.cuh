// The one translation unit of the device code: every file with kernels, one line each. Compiled by NVRTC for a GPU, and
// by a host compiler for the emulation of the tests.
#pragma once

#include "cuda/device/arguments.h"

#include "cuda/device/attention_backward.cuh"
#include "cuda/device/attention_forward.cuh"
#include "cuda/device/initial_euclidean.cuh"
#include "cuda/device/self_test.cuh"
