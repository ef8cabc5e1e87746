#pragma once
// Executes one launch: block after block, every thread of a block a fiber. A warp runs as far as it can before the next
// one starts, so that a missing barrier shows as a wrong result instead of being hidden by lock-step.
//
// The environment variable SO3KRATES_EMULATION_ORDER sets the order of blocks, warps and threads of a warp: "forward"
// (default), "reverse", or "random:SEED", drawn anew between any two barriers. Right kernels give the same in each.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>

namespace so3krates::emulation {

// A kernel did what CUDA forbids; what() says where.
class KernelError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct Index {
    unsigned x = 0, y = 0, z = 0;
};

constexpr unsigned warpThreads = 32;

// What the running thread sees of itself.
struct ThreadView {
    Index thread, block, blockSize, gridSize;
    unsigned shuffles = 0; // done so far
    void *dynamicShared = nullptr;
    size_t dynamicBytes = 0;
    unsigned barriers = 0; // passed so far
};
extern ThreadView *current;

// Called after every block; null: nothing is. For those who count what blocks do (bank_conflicts.h).
extern void (*blockEnded)();

// Wait for all threads of the warp or block; file and line of the call, to find threads at different barriers.
void synchronizeWarp(unsigned mask, const char *file, int line);
void synchronizeBlock(const char *file, int line);

// The slot through which a thread of the running thread's warp gives its value to the others. Two sets take turns, so
// one barrier per shuffle is enough.
uint64_t &shuffleSlot(unsigned lane, unsigned shuffle);

template <class T> T shuffle(unsigned mask, T value, unsigned fromLane, const char *file, int line) {
    static_assert(sizeof(T) <= sizeof(uint64_t), "shuffles move at most 8 bytes");
    const unsigned turn = current->shuffles++;
    std::memcpy(&shuffleSlot(current->thread.x % warpThreads, turn), &value, sizeof(T));
    synchronizeWarp(mask, file, line);
    std::memcpy(&value, &shuffleSlot(fromLane % warpThreads, turn), sizeof(T));
    return value;
}

// The values of all lanes, by lane.
constexpr size_t gatherBytes = 32; // of a value, at most
char *gatherSlot(unsigned lane, unsigned shuffle);
template <class T> std::array<T, warpThreads> gather(const T &value, const char *file, int line) {
    static_assert(sizeof(T) <= gatherBytes, "");
    const unsigned turn = current->shuffles++;
    std::memcpy(gatherSlot(current->thread.x % warpThreads, turn), &value, sizeof(T));
    synchronizeWarp(~0u, file, line);
    std::array<T, warpThreads> values;
    for (unsigned lane = 0; lane < warpThreads; lane++)
        std::memcpy(&values[lane], gatherSlot(lane, turn), sizeof(T));
    return values;
}

unsigned ballot(unsigned mask, bool predicate, const char *file, int line);

inline unsigned largestOfWarp(unsigned mask, unsigned value, const char *file, int line) {
    for (unsigned distance = 1; distance < warpThreads; distance *= 2) {
        const unsigned lane = current->thread.x % warpThreads ^ distance;
        const unsigned other = shuffle(mask, value, lane, file, line);
        value = other > value ? other : value;
    }
    return value;
}

// Static shared memory lies between these two addresses.
struct StaticShared {
    char *begin = nullptr, *end = nullptr;
};

// Throws KernelError.
void runLaunch(unsigned blocks, unsigned threads, size_t sharedBytes, const StaticShared &shared,
               const std::function<void()> &body);

} // namespace so3krates::emulation
