// Counts the accesses that GCC's -fsanitize=thread reports: of that sanitizer only the calls before every access are
// used, and they come here instead of to its library.

#include "bank_conflicts.h"

#include <algorithm>
#include <array>
#include <dlfcn.h>
#include <map>
#include <optional>
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
    bool operator==(const Instruction &other) const { return !(*this < other) && !(other < *this); }
};

struct Record {
    Instruction instruction;
    uintptr_t address;
    unsigned barriers;
};
using Records = std::vector<Record>;

std::vector<Records> ofThread; // of the running block, in the order of the program

// One access of a warp's lanes: the n-th of an instruction since the last barrier.
using AccessId = std::pair<Instruction, size_t>;
struct WarpAccess {
    std::vector<LaneAccess> lanes;
    std::optional<AccessId> before; // the one that it may be joined to, the same in every lane
};
using WarpAccesses = std::map<AccessId, WarpAccess>;

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

// Whether the record `at` can be read or written together with `before`: what goes the other way in between touches
// nothing but their own places.
bool canJoin(const Records &records, size_t before, size_t at) {
    const Instruction &instruction = records[at].instruction, &other = records[before].instruction;
    const uintptr_t first = records[before].address;
    if (records[at].address != first + instruction.bytes || other.bytes != instruction.bytes ||
        other.isWrite != instruction.isWrite)
        return false;
    for (size_t k = before + 1; k < at; k++)
        if (records[k].instruction.isWrite != instruction.isWrite &&
            (records[k].address < first || records[k].address >= first + 2 * instruction.bytes))
            return false;
    return true;
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

// Adds the records of one lane, from `at` to the next barrier. A record may be joined to one of the same instruction
// that was not long ago (a loop that the compiler writes out), or to the one just before it (what is written out
// already).
void addLane(unsigned lane, const Records &records, size_t &at, unsigned barriers, WarpAccesses &accesses) {
    constexpr size_t longAgo = 64;
    struct Earlier {
        AccessId id;
        size_t record;
    };
    std::map<Instruction, size_t> times;
    std::map<std::pair<Instruction, uintptr_t>, Earlier> byEnd;
    std::optional<AccessId> previous;
    for (; at < records.size() && records[at].barriers == barriers; at++) {
        const Instruction &instruction = records[at].instruction;
        const uintptr_t address = records[at].address;
        const auto earlier = byEnd.find({instruction, address});
        std::optional<AccessId> before;
        if (earlier != byEnd.end() && at - earlier->second.record <= longAgo &&
            canJoin(records, earlier->second.record, at))
            before = earlier->second.id;
        else if (previous && canJoin(records, at - 1, at))
            before = previous;
        const AccessId id{instruction, times[instruction]++};
        const auto [place, isNew] = accesses.try_emplace(id);
        WarpAccess &access = place->second;
        if (isNew)
            access.before = before;
        else if (access.before != before)
            access.before.reset();
        access.lanes.push_back({lane, address});
        byEnd.insert_or_assign({instruction, address + instruction.bytes}, Earlier{id, at});
        previous = id;
    }
}

bool sameLanes(const WarpAccess &a, const WarpAccess &b) {
    return std::equal(a.lanes.begin(), a.lanes.end(), b.lanes.begin(), b.lanes.end(),
                      [](const LaneAccess &x, const LaneAccess &y) { return x.lane == y.lane; });
}

// Records of a warp's threads, each from `at` on, up to the next barrier.
void countInterval(const std::vector<Records> &threads, std::vector<size_t> &at, unsigned barriers) {
    WarpAccesses accesses;
    for (unsigned lane = 0; lane < threads.size(); lane++)
        addLane(lane, threads[lane], at[lane], barriers, accesses);
    std::map<AccessId, AccessId> after;
    std::vector<const WarpAccesses::value_type *> starts;
    for (const auto &entry : accesses) {
        const std::optional<AccessId> &before = entry.second.before;
        if (!before || !sameLanes(accesses.at(*before), entry.second) ||
            !after.try_emplace(*before, entry.first).second)
            starts.push_back(&entry);
    }
    for (const auto *start : starts) {
        const auto &[id, first] = *start;
        size_t count = 1;
        for (auto next = after.find(id); next != after.end(); next = after.find(next->second))
            count++;
        countRun(first, count, id.first, totals[{runningKernel, id.first}]);
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
            if (++choice == 3)
                throw KernelError(kernel + " accesses shared memory in " + std::to_string(instruction.bytes) +
                                  " bytes at an address that is not a multiple of that");
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
