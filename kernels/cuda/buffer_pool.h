#pragma once
// The work space of an evaluation: arrays taken in the same order every time, each a buffer that only grows. What the
// last evaluation left in an array of the same size is still there.

#include "cuda/buffer.h"

namespace so3krates::cuda {

template <class T> class BufferPool {
public:
    explicit BufferPool(std::shared_ptr<Device> device) : device(std::move(device)) {}
    void rewind() { next = 0; }
    // Null for size 0, which keeps the place of an array that this evaluation does not need.
    T *take(size_t size) {
        if (next == buffers.size())
            buffers.emplace_back(device);
        Buffer<T> &buffer = buffers[next++];
        const T *before = buffer.get();
        T *now = buffer.ensure(size);
        if (before && buffer.get() != before)
            moves++;
        return now;
    }
    // How often an array has got another address.
    unsigned long moved() const { return moves; }

private:
    std::shared_ptr<Device> device;
    std::vector<Buffer<T>> buffers;
    size_t next = 0;
    unsigned long moves = 0;
};

} // namespace so3krates::cuda
