// Compiles only if stable_abi.h declares torch's stable interface as torch's own header does: declaring a function of
// C twice with other types is an error.
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include "torch/stable_abi.h"
