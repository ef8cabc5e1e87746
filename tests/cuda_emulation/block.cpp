#include "block.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "fiber.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace so3krates::emulation {

ThreadView *current = nullptr;
void (*blockEnded)() = nullptr;

namespace {

enum class Wait { Nothing, Warp, Block, Ended };

struct Thread : ThreadView {
    Fiber fiber;
    Wait wait = Wait::Nothing;
    const char *file = "";
    int line = 0;
    uint64_t slots[2] = {};
    char gathered[2][gatherBytes] = {};

    bool waitsAtTheSamePlace(const Thread &other) const {
        return wait == other.wait && line == other.line && std::strcmp(file, other.file) == 0;
    }
    std::string where() const {
        const std::string name = "block " + std::to_string(block.x) + ", thread " + std::to_string(thread.x);
        return name + (wait == Wait::Ended ? " (ended)" : " (" + std::string(file) + ":" + std::to_string(line) + ")");
    }
};

std::vector<std::unique_ptr<Thread>> pool;
const std::function<void()> *kernel = nullptr;
std::string failure; // of the thread that just ran

Thread &self() { return *static_cast<Thread *>(current); }

void threadBody() {
    try {
        (*kernel)();
    } catch (const std::exception &error) {
        failure = error.what();
    }
    self().wait = Wait::Ended;
}

void waitFor(Wait what, const char *file, int line) {
    Thread &thread = self();
    thread.wait = what;
    thread.file = file;
    thread.line = line;
    thread.fiber.yield();
    thread.barriers++;
}

class Order {
public:
    Order() {
        const char *given = std::getenv("SO3KRATES_EMULATION_ORDER");
        const std::string text = given ? given : "forward";
        if (text == "reverse")
            reverse = true;
        else if (text.rfind("random:", 0) == 0) {
            random = true;
            generator.seed(std::strtoul(text.c_str() + 7, nullptr, 10));
        } else if (text != "forward")
            throw KernelError("SO3KRATES_EMULATION_ORDER must be forward, reverse or random:SEED, not " + text);
    }
    std::vector<unsigned> operator()(unsigned first, unsigned last) {
        std::vector<unsigned> order(last - first);
        std::iota(order.begin(), order.end(), first);
        if (reverse)
            std::reverse(order.begin(), order.end());
        if (random)
            std::shuffle(order.begin(), order.end(), generator);
        return order;
    }

private:
    bool reverse = false, random = false;
    std::mt19937 generator;
};

// Lets every thread of the warp run to its next barrier. False if none could run.
bool runWarp(unsigned first, unsigned last, Order &order) {
    bool progress = false;
    for (unsigned t : order(first, last)) {
        Thread &thread = *pool[t];
        if (thread.wait != Wait::Nothing)
            continue;
        progress = true;
        current = &thread;
        thread.fiber.resume();
        current = nullptr;
        if (!failure.empty())
            throw KernelError(thread.where() + ": " + failure);
    }
    return progress;
}

// Opens the barrier if all threads first..last wait at it. False if not.
bool openBarrier(Wait kind, unsigned first, unsigned last) {
    const Thread *waiting = nullptr, *ended = nullptr;
    for (unsigned t = first; t < last; t++) {
        const Thread &thread = *pool[t];
        if (thread.wait == Wait::Ended)
            ended = &thread;
        else if (thread.wait != kind)
            return false;
        else if (waiting && !thread.waitsAtTheSamePlace(*waiting))
            throw KernelError("divergent barrier: " + waiting->where() + " and " + thread.where());
        else
            waiting = &thread;
    }
    if (!waiting)
        return false;
    if (ended)
        throw KernelError("a thread ended before a barrier: " + waiting->where() + " waits for " + ended->where());
    for (unsigned t = first; t < last; t++)
        pool[t]->wait = Wait::Nothing;
    return true;
}

void runBlock(unsigned numThreads, Order &order) {
    const unsigned numWarps = (numThreads + warpThreads - 1) / warpThreads;
    for (bool over = false; !over;) {
        bool progress = false;
        for (unsigned warp : order(0, numWarps)) {
            const unsigned first = warp * warpThreads, last = std::min(first + warpThreads, numThreads);
            do
                progress = runWarp(first, last, order) || progress;
            while (openBarrier(Wait::Warp, first, last));
        }
        over = std::all_of(pool.begin(), pool.begin() + numThreads,
                           [](const auto &thread) { return thread->wait == Wait::Ended; });
        if (over || openBarrier(Wait::Block, 0, numThreads) || progress)
            continue;
        for (unsigned t = 1; t < numThreads; t++)
            if (!pool[t]->waitsAtTheSamePlace(*pool[0]))
                throw KernelError("threads wait for one another: " + pool[0]->where() + " and " + pool[t]->where());
    }
}

// All bits set: NaN in floating point, -1 in integers, so that what is read before it was written shows.
__attribute__((no_sanitize_address)) void poison(char *begin, const char *end) {
    for (volatile char *byte = begin; byte < end; byte++)
        *byte = char(0xff);
}

// Dynamic shared memory, with a margin that AddressSanitizer guards.
class DynamicShared {
public:
    explicit DynamicShared(size_t bytes) : memory(new char[bytes + margin]), bytes(bytes) {
#if defined(__SANITIZE_ADDRESS__)
        __asan_poison_memory_region(memory.get() + bytes, margin);
#endif
    }
    ~DynamicShared() {
#if defined(__SANITIZE_ADDRESS__)
        __asan_unpoison_memory_region(memory.get(), bytes + margin);
#endif
    }
    char *begin() const { return memory.get(); }
    char *end() const { return memory.get() + bytes; }

private:
    static constexpr size_t margin = 16 * 1024;
    std::unique_ptr<char[]> memory;
    size_t bytes;
};

} // namespace

void synchronizeWarp(unsigned mask, const char *file, int line) {
    if (mask != ~0u)
        throw KernelError(std::string("only full warps take part in warp operations: ") + file + ":" +
                          std::to_string(line));
    if (current->blockSize.x % warpThreads)
        throw KernelError(std::string("warp operation in a block that is not whole warps: ") + file + ":" +
                          std::to_string(line));
    waitFor(Wait::Warp, file, line);
}

void synchronizeBlock(const char *file, int line) { waitFor(Wait::Block, file, line); }

static Thread &laneOfWarp(unsigned lane) {
    const unsigned thread = current->thread.x / warpThreads * warpThreads + lane;
    if (thread >= current->blockSize.x)
        throw KernelError("shuffle from a thread that does not exist");
    return *pool[thread];
}

uint64_t &shuffleSlot(unsigned lane, unsigned shuffle) { return laneOfWarp(lane).slots[shuffle % 2]; }

char *gatherSlot(unsigned lane, unsigned shuffle) { return laneOfWarp(lane).gathered[shuffle % 2]; }

unsigned ballot(unsigned mask, bool predicate, const char *file, int line) {
    const unsigned turn = current->shuffles;
    shuffle(mask, predicate, current->thread.x, file, line);
    unsigned bits = 0;
    for (unsigned lane = 0; lane < warpThreads; lane++) {
        bool vote;
        std::memcpy(&vote, &shuffleSlot(lane, turn), sizeof(vote));
        bits |= unsigned(vote) << lane;
    }
    return bits;
}

void runLaunch(unsigned blocks, unsigned threads, size_t sharedBytes, const StaticShared &shared,
               const std::function<void()> &body) {
    Order order;
    DynamicShared dynamicShared(sharedBytes);
    while (pool.size() < threads)
        pool.push_back(std::make_unique<Thread>());
    kernel = &body;
    failure.clear();
    for (unsigned block : order(0, blocks)) {
        poison(dynamicShared.begin(), dynamicShared.end());
        poison(shared.begin, shared.end);
        for (unsigned t = 0; t < threads; t++) {
            Thread &thread = *pool[t];
            static_cast<ThreadView &>(thread) = ThreadView{
                {t, 0, 0}, {block, 0, 0}, {threads, 1, 1}, {blocks, 1, 1}, 0, dynamicShared.begin(), sharedBytes};
            thread.wait = Wait::Nothing;
            thread.fiber.start(&threadBody);
        }
        runBlock(threads, order);
        if (blockEnded)
            blockEnded();
    }
}

} // namespace so3krates::emulation
