#pragma once
// OpenMM's thread pool as the engine's team of threads.

#include "openmm/internal/ThreadPool.h"
#include "threads/thread_team.h"

namespace SO3kratesPlugin {

class PoolTeam : public so3krates::ThreadTeam {
public:
    explicit PoolTeam(OpenMM::ThreadPool &pool) : pool(pool) {}
    int size() const override { return pool.getNumThreads(); }
    void run(const std::function<void(int)> &work) override {
        if (size() == 1) { // spares waking the pool's only thread
            work(0);
            return;
        }
        pool.execute([&work](OpenMM::ThreadPool &, int thread) { work(thread); });
        pool.waitForThreads();
    }

private:
    OpenMM::ThreadPool &pool;
};

} // namespace SO3kratesPlugin
