#pragma once
// Accesses to shared memory and what its banks make of them, counted while kernels run. Only modules whose device code
// is instrumented (counted_kernels.cpp) record anything.
//
// Shared memory has 32 banks of 4 bytes. An access of up to 4 bytes per lane is served for a warp at once, one of 8
// bytes for half a warp, one of 16 for a quarter; each such group takes as many wavefronts as the largest number of
// different words that it asks of one bank (Nsight Compute's word), at least one. A GPU may serve two groups that read
// the same words in one: not counted.
//
// Threads of a warp meet in an access when it is the same instruction of the program, between the same two barriers,
// for the same time of the thread since the first of them. Real warps that have diverged in between may take more
// turns.

#include <cstdint>
#include <string>
#include <vector>

namespace so3krates::emulation {

struct LaneAccess {
    unsigned lane;
    uintptr_t address;
};

struct Wavefronts {
    long taken = 0, ideal = 0;
};

// Of one access of a warp, `bytes` (1, 2, 4, 8 or 16) from each of the lanes, no lane twice.
Wavefronts wavefronts(const std::vector<LaneAccess> &lanes, unsigned bytes);

// All accesses of one instruction in a kernel.
struct AccessCount {
    std::string kernel;
    uintptr_t site; // address after the instruction, from the beginning of the library it is in
    std::string library;
    bool isWrite;
    unsigned bytes;
    long accesses; // of a warp
    Wavefronts wavefronts;
};

// Since the last call, in no particular order.
std::vector<AccessCount> takeAccessCounts();

} // namespace so3krates::emulation
