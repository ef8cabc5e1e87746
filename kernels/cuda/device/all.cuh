// All device code: the one translation unit that NVRTC and the emulation compile. One line per file with kernels.
#pragma once

#include "cuda/device/arguments.h"
