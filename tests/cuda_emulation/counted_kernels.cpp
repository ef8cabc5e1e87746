// emulated_kernels.cpp with a call before every access to memory (CMakeLists.txt), for bank_conflicts.cpp.

#include "emulated_kernels.cpp"
