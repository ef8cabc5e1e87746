#pragma once
// A function that can be left in the middle and continued later, on a stack of its own.

#include <cstddef>

// SO3KRATES_UCONTEXT: what other processors than x86-64 use, for trying it out on one of those.
#if !defined(__x86_64__) && !defined(SO3KRATES_UCONTEXT)
#define SO3KRATES_UCONTEXT
#endif
#ifdef SO3KRATES_UCONTEXT
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
#ifdef SO3KRATES_UCONTEXT
    ucontext_t context;
#else
    void *stackPointer = nullptr;
#endif
    void *fakeStack = nullptr; // AddressSanitizer's
};

} // namespace so3krates::emulation
