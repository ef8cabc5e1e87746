#pragma once
// Memory of an engine that grows to the largest system seen and is reused from step to step.

#include "aligned_array.h"

namespace so3krates::cpu {

// An array that keeps its memory. Fresh memory is zero, and the kernels keep the padding of rows at zero. What is in
// reserve takes no memory before it is touched.
template <class T> class Buffer {
public:
    T *ensure(size_t size) {
        if (size > capacity) {
            memory = AlignedArray<T>(); // first, so that old and new never stand side by side
            capacity = 0;
            memory = AlignedArray<T>(size + size / 8 + 64);
            capacity = size + size / 8 + 64;
        }
        return memory.get();
    }
    T *get() const { return memory.get(); }

private:
    AlignedArray<T> memory;
    size_t capacity = 0;
};

} // namespace so3krates::cpu
