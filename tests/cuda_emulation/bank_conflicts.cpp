// Counts the accesses that GCC's -fsanitize=thread reports: of that sanitizer only the calls before every access are
// used, and they come here instead of to its library.

#include "bank_conflicts.h"

#include <algorithm>
#include <array>
#include <dlfcn.h>
#include <map>
#include <tuple>

#include "block.h"
#include "emulated_device.h"

extern "C" char __start_so3krates_shared[], __stop_so3krates_shared[]; // by the linker

namespace so3krates::emulation {

namespace {

constexpr unsigned banks = 32, bankBytes = 4;

struct Instruction {
    uintptr_t site;
    unsigned bytes;
    bool isWrite;
    bool operator<(const Instruction &other) const {
        return std::tie(site, bytes, isWrite) < std::tie(other.site, other.bytes, other.isWrite);
    }
};

struct Record {
    Instruction instruction;
    uintptr_t address;
    unsigned barriers;
};
using Records = std::vector<Record>;

std::vector<Records> ofThread; // of the running block, in the order of the program

// One access of a warp's lanes.
struct WarpAccess {
    std::vector<LaneAccess> lanes;
    bool mayJoin = true; // the one before of the same instruction, in every lane
};

// An instruction in a kernel: what it costs if the compiler joins accesses to pieces of up to 16, 8 or no more bytes
// than the instruction's own, and whether addresses allow that.
struct Total {
    struct {
        bool joined = false, aligned = true;
        long accesses = 0;
        Wavefronts wavefronts;
    } pieces[3];
};
constexpr unsigned pieceBytes[3] = {16, 8, 0};

std::map<std::pair<std::string, Instruction>, Total> totals; // by kernel

// Whether the record `at` can be read or written together with `before`, the one of the same instruction before it:
// what goes the other way in between touches nothing but their own places, and is not much.
bool canJoin(const Records &records, size_t before, size_t at) {
    constexpr size_t window = 64;
    const Instruction &instruction = records[at].instruction;
    const uintptr_t first = records[before].address;
    if (records[at].address != first + instruction.bytes || at - before > window)
        return false;
    for (size_t k = before + 1; k < at; k++)
        if (records[k].instruction.isWrite != instruction.isWrite &&
            (records[k].address < first || records[k].address >= first + 2 * instruction.bytes))
            return false;
    return true;
}

bool sameLanes(const WarpAccess &a, const WarpAccess &b) {
    return std::equal(a.lanes.begin(), a.lanes.end(), b.lanes.begin(), b.lanes.end(),
                      [](const LaneAccess &x, const LaneAccess &y) { return x.lane == y.lane; });
}

// `count` accesses to consecutive places, from `first` on.
void countRun(const WarpAccess &first, size_t count, const Instruction &instruction, Total &total) {
    for (int choice = 0; choice < 3; choice++) {
        auto &pieces = total.pieces[choice];
        const unsigned whole = std::max(pieceBytes[choice], instruction.bytes),
                       all = unsigned(count) * instruction.bytes;
        pieces.joined = pieces.joined || all >= whole;
        if (all >= whole)
            for (const LaneAccess &access : first.lanes)
                pieces.aligned = pieces.aligned && access.address % whole == 0;
        for (unsigned at = 0; at < all;) {
            unsigned bytes = whole;
            while (bytes > all - at)
                bytes /= 2;
            std::vector<LaneAccess> lanes = first.lanes;
            for (LaneAccess &access : lanes)
                access.address += at;
            const Wavefronts cost = wavefronts(lanes, bytes);
            pieces.accesses++;
            pieces.wavefronts.taken += cost.taken;
            pieces.wavefronts.ideal += cost.ideal;
            at += bytes;
        }
    }
}

// Records of a warp's threads, each from `at` on, up to the next barrier.
void countInterval(const std::vector<Records> &threads, std::vector<size_t> &at, unsigned barriers) {
    std::map<Instruction, std::vector<WarpAccess>> accesses;
    for (unsigned lane = 0; lane < threads.size(); lane++) {
        const Records &records = threads[lane];
        struct Times {
            size_t count = 0, last = 0;
        };
        std::map<Instruction, Times> times;
        for (size_t &k = at[lane]; k < records.size() && records[k].barriers == barriers; k++) {
            Times &before = times[records[k].instruction];
            std::vector<WarpAccess> &ofWarp = accesses[records[k].instruction];
            if (ofWarp.size() == before.count)
                ofWarp.emplace_back();
            WarpAccess &access = ofWarp[before.count];
            access.lanes.push_back({lane, records[k].address});
            access.mayJoin = access.mayJoin && before.count > 0 && canJoin(records, before.last, k);
            before = {before.count + 1, k};
        }
    }
    for (const auto &[instruction, ofWarp] : accesses) {
        Total &total = totals[{runningKernel, instruction}];
        for (size_t first = 0, next; first < ofWarp.size(); first = next) {
            next = first + 1;
            while (next < ofWarp.size() && ofWarp[next].mayJoin && sameLanes(ofWarp[first], ofWarp[next]))
                next++;
            countRun(ofWarp[first], next - first, instruction, total);
        }
    }
}

void countBlock() {
    for (size_t first = 0; first < ofThread.size(); first += warpThreads) {
        const size_t last = std::min(first + warpThreads, ofThread.size());
        const std::vector<Records> warp(std::make_move_iterator(ofThread.begin() + first),
                                        std::make_move_iterator(ofThread.begin() + last));
        std::vector<size_t> at(warp.size(), 0);
        while (true) {
            unsigned next = ~0u;
            for (size_t lane = 0; lane < warp.size(); lane++)
                if (at[lane] < warp[lane].size())
                    next = std::min(next, warp[lane][at[lane]].barriers);
            if (next == ~0u)
                break;
            countInterval(warp, at, next);
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
    ofThread[current->thread.x].push_back(
        {{reinterpret_cast<uintptr_t>(site), bytes, isWrite}, reinterpret_cast<uintptr_t>(address), current->barriers});
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
        const auto &[kernel, instruction] = key;
        int choice = 0;
        while (!total.pieces[choice].joined || !total.pieces[choice].aligned)
            choice++;
        Dl_info library;
        dladdr(reinterpret_cast<void *>(instruction.site), &library);
        counts.push_back({kernel, instruction.site - reinterpret_cast<uintptr_t>(library.dli_fbase), library.dli_fname,
                          instruction.isWrite, std::max(pieceBytes[choice], instruction.bytes),
                          total.pieces[choice].accesses, total.pieces[choice].wavefronts});
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
