#pragma once
// A function that can be left in the middle and continued later, on a stack of its own.

#include <cstddef>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace so3krates::emulation {

class Fiber {
public:
    Fiber();
    ~Fiber();
    Fiber(const Fiber &) = delete;
    Fiber &operator=(const Fiber &) = delete;
    // The next resume() calls `body` from its beginning. Whatever ran here before is forgotten, not unwound.
    void start(void (*body)());
    // Runs until yield() or the end of the body. Not from inside a fiber.
    void resume();
    // From inside the fiber: back to where resume() was called.
    void yield() { leave(false); }

private:
    void leave(bool forGood);
    static void enter();
    void (*body)() = nullptr;
    char *mapping = nullptr, *stack = nullptr; // the mapping starts with a page that cannot be touched
#if defined(__x86_64__)
    void *stackPointer = nullptr;
#else
    ucontext_t context;
#endif
    void *fakeStack = nullptr; // AddressSanitizer's
};

} // namespace so3krates::emulation
