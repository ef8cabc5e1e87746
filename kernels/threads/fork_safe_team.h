#pragma once
// A team of threads of its owner's that survives fork().

#include <unistd.h>

#include <memory>

#include "threads/thread_team.h"

namespace so3krates {

class ForkSafeTeam {
public:
    // As makeThreadTeam(size).
    explicit ForkSafeTeam(int size) : wantedSize(size), team(makeThreadTeam(size)) {}
    ForkSafeTeam(const ForkSafeTeam &) = delete;
    ~ForkSafeTeam() {
        if (forked())
            (void)team.release();
    }

    int size() const { return team->size(); }
    // In a child process of the one that made it: the threads stayed behind in the parent, and joining them would wait
    // for ever.
    bool forked() const { return getpid() != process; }

    ThreadTeam &get() {
        if (forked()) {
            (void)team.release();
            team = makeThreadTeam(wantedSize);
            process = getpid();
        }
        return *team;
    }

private:
    int wantedSize;
    std::unique_ptr<ThreadTeam> team;
    pid_t process = getpid();
};

} // namespace so3krates
