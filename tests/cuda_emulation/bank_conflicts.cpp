// Counts the accesses that GCC's -fsanitize=thread reports: of that sanitizer only the calls before every access are
// used, and they come here instead of to its library.

#include "bank_conflicts.h"

#include <algorithm>
#include <array>
#include <dlfcn.h>
#include <map>
#include <tuple>
#include <unordered_map>

#include "block.h"
#include "emulated_device.h"

extern "C" char __start_so3krates_shared[], __stop_so3krates_shared[]; // by the linker

namespace so3krates::emulation {

namespace {

constexpr unsigned banks = 32, bankBytes = 4;

struct Record {
    uintptr_t site, address;
    unsigned barriers;
    unsigned short bytes;
    bool isWrite;
};

std::vector<std::vector<Record>> ofThread; // of the running block, in the order of the program

using Key = std::tuple<std::string, uintptr_t, bool, unsigned>; // kernel, site, write, bytes
struct Total {
    long accesses = 0;
    Wavefronts wavefronts;
};
std::map<Key, Total> totals;

// Records of a warp's threads, each from `at` on, up to the next barrier.
void countInterval(const std::vector<std::vector<Record>> &threads, std::vector<size_t> &at, unsigned barriers,
                   std::map<Key, Total> &into) {
    // by site, size and direction: the n-th time of every thread
    std::map<std::tuple<uintptr_t, bool, unsigned>, std::vector<std::vector<LaneAccess>>> sites;
    for (unsigned lane = 0; lane < threads.size(); lane++) {
        std::map<std::tuple<uintptr_t, bool, unsigned>, size_t> times;
        for (; at[lane] < threads[lane].size() && threads[lane][at[lane]].barriers == barriers; at[lane]++) {
            const Record &record = threads[lane][at[lane]];
            const std::tuple<uintptr_t, bool, unsigned> site{record.site, record.isWrite, record.bytes};
            const size_t time = times[site]++;
            auto &accesses = sites[site];
            if (accesses.size() <= time)
                accesses.resize(time + 1);
            accesses[time].push_back({lane, record.address});
        }
    }
    for (const auto &[site, accesses] : sites) {
        const auto [address, isWrite, bytes] = site;
        Total &total = into[{runningKernel, address, isWrite, bytes}];
        for (const auto &lanes : accesses) {
            const Wavefronts cost = wavefronts(lanes, bytes);
            total.accesses++;
            total.wavefronts.taken += cost.taken;
            total.wavefronts.ideal += cost.ideal;
        }
    }
}

void countBlock() {
    for (size_t first = 0; first < ofThread.size(); first += warpThreads) {
        const size_t last = std::min(first + warpThreads, ofThread.size());
        const std::vector<std::vector<Record>> warp(std::make_move_iterator(ofThread.begin() + first),
                                                    std::make_move_iterator(ofThread.begin() + last));
        std::vector<size_t> at(warp.size(), 0);
        while (true) {
            unsigned next = ~0u;
            for (size_t lane = 0; lane < warp.size(); lane++)
                if (at[lane] < warp[lane].size())
                    next = std::min(next, warp[lane][at[lane]].barriers);
            if (next == ~0u)
                break;
            countInterval(warp, at, next, totals);
        }
    }
    ofThread.clear();
}

void record(const void *pointer, unsigned bytes, bool isWrite, const void *site) {
    if (!current)
        return;
    const char *const address = static_cast<const char *>(pointer);
    const char *const dynamic = static_cast<const char *>(current->dynamicShared);
    if (!(address >= __start_so3krates_shared && address < __stop_so3krates_shared) &&
        !(address >= dynamic && address < dynamic + current->dynamicBytes))
        return;
    if (ofThread.size() <= current->thread.x)
        ofThread.resize(current->blockSize.x);
    ofThread[current->thread.x].push_back({reinterpret_cast<uintptr_t>(site), reinterpret_cast<uintptr_t>(address),
                                           current->barriers, static_cast<unsigned short>(bytes), isWrite});
    blockEnded = countBlock;
}

// A copy of something that is no power of two: in the largest pieces that divide it, up to 16 bytes.
void recordRange(const void *pointer, size_t bytes, bool isWrite, const void *site) {
    unsigned piece = 16;
    while (piece > 1 && bytes % piece)
        piece /= 2;
    for (size_t at = 0; at < bytes; at += piece)
        record(static_cast<const char *>(pointer) + at, piece, isWrite, site);
}

} // namespace

Wavefronts wavefronts(const std::vector<LaneAccess> &lanes, unsigned bytes) {
    const unsigned words = std::max(1u, bytes / bankBytes), groupLanes = warpThreads / words;
    Wavefronts result;
    for (unsigned first = 0; first < warpThreads; first += groupLanes) {
        std::array<std::vector<uintptr_t>, banks> asked; // different words of every bank
        bool any = false;
        for (const LaneAccess &access : lanes) {
            if (access.lane < first || access.lane >= first + groupLanes)
                continue;
            any = true;
            for (unsigned k = 0; k < words; k++) {
                const uintptr_t word = access.address / bankBytes + k;
                auto &others = asked[word % banks];
                if (std::find(others.begin(), others.end(), word) == others.end())
                    others.push_back(word);
            }
        }
        if (!any)
            continue;
        size_t most = 0;
        for (const auto &of : asked)
            most = std::max(most, of.size());
        result.taken += long(most);
        result.ideal++;
    }
    return result;
}

std::vector<AccessCount> takeAccessCounts() {
    std::vector<AccessCount> counts;
    for (const auto &[key, total] : totals) {
        const auto &[kernel, site, isWrite, bytes] = key;
        Dl_info library;
        dladdr(reinterpret_cast<void *>(site), &library);
        counts.push_back({kernel, site - reinterpret_cast<uintptr_t>(library.dli_fbase), library.dli_fname, isWrite,
                          bytes, total.accesses, total.wavefronts});
    }
    totals.clear();
    return counts;
}

} // namespace so3krates::emulation

using so3krates::emulation::record;
using so3krates::emulation::recordRange;

// What GCC calls.
extern "C" {
#define SO3K_ACCESS(bytes)                                                                                             \
    void __tsan_read##bytes(void *p) { record(p, bytes, false, __builtin_return_address(0)); }                         \
    void __tsan_write##bytes(void *p) { record(p, bytes, true, __builtin_return_address(0)); }                         \
    void __tsan_unaligned_read##bytes(void *p) { record(p, bytes, false, __builtin_return_address(0)); }               \
    void __tsan_unaligned_write##bytes(void *p) { record(p, bytes, true, __builtin_return_address(0)); }
SO3K_ACCESS(1)
SO3K_ACCESS(2)
SO3K_ACCESS(4)
SO3K_ACCESS(8)
SO3K_ACCESS(16)
void __tsan_read_range(void *p, size_t bytes) { recordRange(p, bytes, false, __builtin_return_address(0)); }
void __tsan_write_range(void *p, size_t bytes) { recordRange(p, bytes, true, __builtin_return_address(0)); }
void __tsan_vptr_read(void *) {}
void __tsan_vptr_update(void *, void *) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}
