// Reads of 16 bytes that tell the L1 cache what they are for. Only of memory that nobody writes during the launch.
#pragma once

namespace so3krates {
namespace cuda {

struct alignas(16) Words {
    unsigned of[4];
};

// What it will hardly read again, and should not drive out other things.
__device__ inline Words loadPassing(const void *words) {
#if SO3K_EMULATION
    return *static_cast<const Words *>(words);
#else
    Words w;
    asm("ld.global.nc.L1::evict_first.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(w.of[0]), "=r"(w.of[1]), "=r"(w.of[2]), "=r"(w.of[3])
        : "l"(words));
    return w;
#endif
}

} // namespace cuda
} // namespace so3krates
