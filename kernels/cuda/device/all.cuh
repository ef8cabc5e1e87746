// All device code: the one translation unit that NVRTC and the emulation compile. One line per file with kernels.
#pragma once

#include "cuda/device/arguments.h"
#include "cuda/device/dynamic_shared.cuh"

#include "cuda/device/atom_backward.cuh"
#include "cuda/device/attention_backward.cuh"
#include "cuda/device/attention_forward.cuh"
#include "cuda/device/attention_results.cuh"
#include "cuda/device/charges.cuh"
#include "cuda/device/edge_list.cuh"
#include "cuda/device/energies.cuh"
#include "cuda/device/initial_euclidean.cuh"
#include "cuda/device/neighbors.cuh"
#include "cuda/device/pair_terms.cuh"
#include "cuda/device/positions.cuh"
#include "cuda/device/project.cuh"
#include "cuda/device/results.cuh"
#include "cuda/device/self_test.cuh"
#include "cuda/device/tiled_attention_backward.cuh"
#include "cuda/device/tiled_attention_forward.cuh"
#if SO3K_FIRST_LAYER
#include "cuda/device/first_layer.cuh"
#endif
