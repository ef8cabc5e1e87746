#include "fiber.h"

#include <cstdint>
#include <new>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
constexpr std::size_t stackBytes = 512 * 1024; // red zones make frames several times larger
#else
constexpr std::size_t stackBytes = 128 * 1024;
#endif
constexpr std::size_t guardBytes = 16 * 1024;

#ifndef SO3KRATES_UCONTEXT
// Saves what the System V calling convention preserves, then goes on where `load` was saved. swapcontext would do, but
// its two system calls make it twenty times slower.
extern "C" void so3kratesSwitchStack(void **save, void *load);
asm(R"(
.pushsection .text
.hidden so3kratesSwitchStack
.globl so3kratesSwitchStack
.type so3kratesSwitchStack, @function
so3kratesSwitchStack:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
.size so3kratesSwitchStack, . - so3kratesSwitchStack
.popsection
)");
#endif

namespace so3krates::emulation {

namespace {
// Where resume() was called: one OS thread runs all fibers.
Fiber *running = nullptr;
#ifndef SO3KRATES_UCONTEXT
void *outside = nullptr;
#else
ucontext_t outside;
#endif
#if defined(__SANITIZE_ADDRESS__)
const void *outsideStack = nullptr;
std::size_t outsideBytes = 0;
#endif
} // namespace

Fiber::Fiber() {
    void *memory = mmap(nullptr, guardBytes + stackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        throw std::bad_alloc();
    mapping = static_cast<char *>(memory);
    mprotect(mapping, guardBytes, PROT_NONE);
    stack = mapping + guardBytes;
}

Fiber::~Fiber() {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stack, stackBytes); // the next mapping here may be anything
#endif
    munmap(mapping, guardBytes + stackBytes);
}

void Fiber::start(void (*newBody)()) {
    body = newBody;
    fakeStack = nullptr;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stack, stackBytes);
#endif
#ifndef SO3KRATES_UCONTEXT
    // As if enter() had been called (return address 0) and interrupted before its first instruction.
    void **top = reinterpret_cast<void **>(stack + stackBytes);
    *--top = nullptr;
    *--top = reinterpret_cast<void *>(&Fiber::enter);
    for (int k = 0; k < 6; k++)
        *--top = nullptr;
    stackPointer = top;
#else
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = stackBytes;
    context.uc_link = nullptr;
    makecontext(&context, &Fiber::enter, 0);
#endif
}

void Fiber::resume() {
    running = this;
#if defined(__SANITIZE_ADDRESS__)
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack, stackBytes);
#endif
#ifndef SO3KRATES_UCONTEXT
    so3kratesSwitchStack(&outside, stackPointer);
#else
    swapcontext(&outside, &context);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
    running = nullptr;
}

void Fiber::leave([[maybe_unused]] bool forGood) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(forGood ? nullptr : &fakeStack, outsideStack, outsideBytes);
#endif
#ifndef SO3KRATES_UCONTEXT
    so3kratesSwitchStack(&stackPointer, outside);
#else
    swapcontext(&context, &outside);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fakeStack, &outsideStack, &outsideBytes);
#endif
}

void Fiber::enter() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &outsideStack, &outsideBytes);
#endif
    running->body();
    running->leave(true);
}

} // namespace so3krates::emulation
