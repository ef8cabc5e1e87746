#pragma once
// What the CUDA backend needs of a GPU: memory, copies and launches, in order, on one stream. Implemented by the NVIDIA
// driver (driver/) and, in the tests, by an emulation that runs the same kernels on the CPU.

#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace so3krates::cuda {

// A GPU, its driver or its compiler failed; what() names the call, the reason and, where there is one, the mend.
class DeviceError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct LaunchSize {
    unsigned blocks = 1, threads = 1;
    size_t sharedBytes = 0; // dynamic shared memory
};

// A few bytes of device memory that the host can wait for by themselves, while later work runs on.
class Notice {
public:
    virtual ~Notice() = default;
    // Puts a copy of the bytes at `device` beside the stream, after what is on it now: later work does not wait for a
    // copy to the host, so it must leave the bytes alone until join(). May be recorded: every replay then posts again.
    virtual void post(const void *device) = 0;
    // What is put on the stream from now on runs after the copy. Belongs to every post(), in the same recording;
    // without one it does nothing.
    virtual void join() = 0;
    // Waits for the last post and returns where copies arrive: what it copied, until the next post. That the wait is
    // for this very post is certain only if it was not part of a replay: the driver's documents do not say when a
    // replayed event becomes pending. Zeros before the first copy.
    virtual const void *wait() = 0;
};

class Device {
public:
    virtual ~Device() = default;
    virtual void *allocate(size_t bytes) = 0; // throws DeviceError if memory is short; contents undefined
    virtual void release(void *pointer) noexcept = 0;
    virtual void upload(void *device, const void *host, size_t bytes) = 0;
    virtual void download(void *host, const void *device, size_t bytes) = 0; // waits until the host has it
    virtual void clear(void *device, size_t bytes) = 0;                      // zero bytes
    virtual std::unique_ptr<Notice> notice(size_t bytes) = 0;                // must not outlive the device
    // Every kernel takes one struct by value (device/arguments.h). Empty launches (0 blocks) do nothing.
    virtual void launch(const char *kernel, const LaunchSize &size, const void *arguments, size_t bytes) = 0;
    virtual void copy(void *to, const void *from, size_t bytes) = 0; // both in device memory
    virtual void synchronize() = 0;
    // For memory and work of somebody else. What is put on the stream from now on runs after what is on that one now.
    virtual void follow(void *stream) = 0;
    // Runs `work`, with what it puts on the stream put on the caller's `stream` instead, which the caller records as a
    // graph. Allocations, uploads and downloads throw DeviceError meanwhile: a replay could not do them.
    virtual void recordInto(void *stream, const std::function<void()> &work) = 0;
    // Throws DeviceError unless kernels can use this address.
    virtual void checkAddress(const void *pointer, const std::string &what) const = 0;
    virtual bool hasTensorCores() const = 0; // and they are wanted (SO3KRATES_TENSOR_CORES)
    virtual int numMultiprocessors() const = 0;
    virtual std::string name() const = 0; // "NVIDIA H200, sm_90" or "emulated"
};

} // namespace so3krates::cuda
