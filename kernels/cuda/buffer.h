#pragma once
// Memory of a Device that frees itself and only grows.

#include <memory>
#include <vector>

#include "cuda/device.h"

namespace so3krates::cuda {

template <class T> class Buffer {
public:
    explicit Buffer(std::shared_ptr<Device> device) : device(std::move(device)) {}
    Buffer(Buffer &&other) noexcept : device(other.device), pointer(other.pointer), capacity(other.capacity) {
        other.pointer = nullptr;
        other.capacity = 0;
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    ~Buffer() {
        if (pointer)
            device->release(pointer);
    }

    // Room for `size` numbers; the contents are lost if it has to grow. Null for none.
    T *ensure(size_t size) {
        if (size > capacity) {
            // A little more than asked for, so that systems that grow slowly do not allocate at every step.
            const size_t wanted = capacity ? size + size / 8 : size;
            if (pointer)
                device->release(pointer);
            pointer = nullptr;
            capacity = 0;
            pointer = static_cast<T *>(device->allocate(wanted * sizeof(T)));
            capacity = wanted;
        }
        return size ? pointer : nullptr;
    }
    T *upload(const T *values, size_t size) {
        ensure(size);
        if (size)
            device->upload(pointer, values, size * sizeof(T));
        return get();
    }
    T *upload(const std::vector<T> &values) { return upload(values.data(), values.size()); }
    T *get() const { return pointer; }

private:
    std::shared_ptr<Device> device;
    T *pointer = nullptr;
    size_t capacity = 0;
};

} // namespace so3krates::cuda
