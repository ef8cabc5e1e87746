#pragma once
// Zeros at the start of a cache line: vectors loaded from whole rows then never cross one.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace so3krates {

// What is never touched takes no memory.
template <class T> class AlignedArray {
    static_assert(std::is_trivially_destructible<T>::value, "memory is given back without destructors");

public:
    AlignedArray() = default;
    explicit AlignedArray(size_t size) : memory(std::calloc(size * sizeof(T) + line, 1)) {
        if (!memory)
            throw std::bad_alloc();
        const uintptr_t at = reinterpret_cast<uintptr_t>(memory.get());
        first = reinterpret_cast<T *>((at + line - 1) / line * line);
    }
    AlignedArray(AlignedArray &&other) noexcept { *this = std::move(other); }
    AlignedArray &operator=(AlignedArray &&other) noexcept {
        memory = std::move(other.memory);
        first = other.first;
        other.first = nullptr;
        return *this;
    }
    T *get() const { return first; }

private:
    static constexpr size_t line = 64;
    struct Free {
        void operator()(void *p) const { std::free(p); }
    };
    std::unique_ptr<void, Free> memory;
    T *first = nullptr;
};

} // namespace so3krates
