#pragma once
// Loops and barriers on a ThreadTeam.

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "threads/thread_team.h"

namespace so3krates {

// A moment's rest in a loop that waits for another thread, tens of cycles, without giving the processor away.
inline void relaxProcessor() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Inside ThreadTeam::run: all threads wait for the last. Spins, since the engine's stages last microseconds, but gives
// way when there are more threads than processors.
class Barrier {
public:
    explicit Barrier(int threads) : threads(threads) {}
    void wait() {
        wait([] {});
    }
    // lastWork() is called by the thread that arrives last, before any goes on.
    template <class Work> void wait(const Work &lastWork) {
        if (threads == 1) {
            lastWork();
            return;
        }
        const int mine = generation.load(std::memory_order_relaxed);
        if (arrived.fetch_add(1, std::memory_order_acq_rel) == threads - 1) {
            lastWork();
            arrived.store(0, std::memory_order_relaxed);
            generation.store(mine + 1, std::memory_order_release);
        } else {
            for (int spins = 0; generation.load(std::memory_order_acquire) == mine; spins++)
                if (spins < 4000)
                    relaxProcessor();
                else
                    std::this_thread::yield();
        }
    }

private:
    const int threads;
    std::atomic<int> arrived{0}, generation{0};
};

// work(task, thread) for every task in 0..tasks-1, in any order and on any thread; the first exception is thrown again
// in the calling thread.
template <class Work> void parallelFor(ThreadTeam &team, int tasks, const Work &work) {
    std::atomic<int> next{0};
    std::exception_ptr failure;
    std::mutex mutex;
    auto loop = [&](int thread) {
        try {
            for (int task = next++; task < tasks; task = next++)
                work(task, thread);
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex);
            failure = std::current_exception();
            next = tasks;
        }
    };
    if (tasks <= 1 || team.size() == 1)
        loop(0);
    else
        team.run(loop);
    if (failure)
        std::rethrow_exception(failure);
}

} // namespace so3krates
