#pragma once
// Marks what other libraries (the Python module, the CUDA kernels) take from libSO3kratesOpenMM.

#define SO3KRATES_OPENMM_EXPORT __attribute__((visibility("default")))
