#pragma once
// Where the engine's threads come from. The engine never starts threads of its own accord: whoever calls it
// hands in a team (OpenMM's pool inside OpenMM, OwnThreads otherwise).

#include <functional>
#include <memory>

namespace so3krates {

class ThreadTeam {
public:
    virtual ~ThreadTeam() = default;
    virtual int size() const = 0;
    // Calls work(thread) once for each thread in 0..size()-1, all running at the same time (the engine's
    // barriers rely on it), and returns when all have ended. work does not throw.
    virtual void run(const std::function<void(int thread)> &work) = 0;
};

// A team of `size` std::threads that lives as long as the object; the caller's thread is thread 0.
// size <= 0: one thread per processor the process may use.
std::unique_ptr<ThreadTeam> makeThreadTeam(int size);

} // namespace so3krates
