#include "threads/thread_team.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <pthread.h>
#include <sched.h>
#include <thread>
#include <vector>

namespace so3krates {

namespace {

// Longer than the pause between two steps of a small system (waking a sleeping thread costs about 50 us), short
// enough that a team at rest costs nothing.
constexpr std::chrono::microseconds maxSpinTime(200);

void pauseBriefly() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

int usableProcessors() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    const unsigned count = std::thread::hardware_concurrency(); // more processors than cpu_set_t holds
    return count > 0 ? (int)count : 1;
}

// condition.wait(lock, ready). That function has a newer version in GCC 12's libstdc++, and what calls it would not
// load where glibc is 2.34 and libstdc++ GCC 11's (Red Hat 9), though everything else does.
template <class Ready>
void sleepUntil(std::condition_variable &condition, std::unique_lock<std::mutex> &lock, Ready ready) {
    while (!ready())
        pthread_cond_wait(condition.native_handle(), lock.mutex()->native_handle());
}

class OwnThreads : public ThreadTeam {
public:
    explicit OwnThreads(int numThreads)
        // With more threads than processors a spinning thread only keeps a working one from its processor.
        : numThreads(numThreads), spinTime(numThreads <= usableProcessors() ? maxSpinTime : maxSpinTime.zero()) {
        try {
            for (int thread = 1; thread < numThreads; thread++)
                workers.emplace_back([this, thread] { serve(thread); });
        } catch (...) {
            stop();
            throw;
        }
    }
    ~OwnThreads() override { stop(); }

    int size() const override { return numThreads; }

    void run(const std::function<void(int thread)> &newWork) override {
        std::lock_guard<std::mutex> turn(oneRunAtATime);
        if (numThreads == 1) {
            newWork(0);
            return;
        }
        remaining.store(numThreads - 1, std::memory_order_relaxed);
        announce(&newWork);
        newWork(0);
        auto done = [this] { return remaining.load(std::memory_order_acquire) == 0; };
        if (!spinUntil(done)) {
            std::unique_lock<std::mutex> lock(mutex);
            sleepUntil(ended, lock, done);
        }
    }

private:
    const int numThreads;
    const std::chrono::microseconds spinTime;
    std::vector<std::thread> workers;
    std::mutex oneRunAtATime;
    std::mutex mutex; // guards going to sleep against being woken just before
    std::condition_variable begun, ended;
    const std::function<void(int)> *work = nullptr; // null: end the thread; published by `round`
    std::atomic<unsigned> round{0};                 // counts calls of run()
    std::atomic<int> remaining{0};                  // workers still at it in this round

    // Spins until ready() or until spinTime has passed; returns ready().
    template <typename Ready> bool spinUntil(Ready ready) const {
        const auto end = std::chrono::steady_clock::now() + spinTime;
        do {
            for (int i = 0; i < 64; i++) {
                if (ready())
                    return true;
                pauseBriefly();
            }
        } while (std::chrono::steady_clock::now() < end);
        return ready();
    }

    void announce(const std::function<void(int)> *newWork) {
        {
            std::lock_guard<std::mutex> lock(mutex);
            work = newWork;
            round.fetch_add(1, std::memory_order_release);
        }
        begun.notify_all();
    }

    void serve(int thread) {
        for (unsigned seen = 0;; seen++) {
            auto called = [this, seen] { return round.load(std::memory_order_acquire) != seen; };
            if (!spinUntil(called)) {
                std::unique_lock<std::mutex> lock(mutex);
                sleepUntil(begun, lock, called);
            }
            if (work == nullptr)
                return;
            (*work)(thread);
            if (remaining.fetch_sub(1, std::memory_order_acq_rel) == 1) {
                {
                    std::lock_guard<std::mutex> lock(mutex);
                } // the caller is awake or fully asleep
                ended.notify_one();
            }
        }
    }

    void stop() {
        announce(nullptr);
        for (std::thread &worker : workers)
            worker.join();
    }
};

} // namespace

std::unique_ptr<ThreadTeam> makeThreadTeam(int size) {
    return std::make_unique<OwnThreads>(size > 0 ? size : usableProcessors());
}

} // namespace so3krates
