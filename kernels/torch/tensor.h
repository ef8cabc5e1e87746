#pragma once
// Tensors of the stable interface: owned handles, read by value, whatever their strides.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "torch/stable_abi.h"

namespace so3krates::torch {

class Tensor {
public:
    // Takes the handle over.
    explicit Tensor(AtenTensorHandle handle) : handle(handle) {}
    // Without values, row-major; gpu: on that one, none: on the CPU.
    static Tensor empty(const std::vector<int64_t> &shape, int32_t dtype, std::optional<int> gpu = std::nullopt);

    int32_t dtype() const;
    std::optional<int> gpu() const; // none: it is on the CPU
    std::vector<int64_t> shape() const;
    std::vector<int64_t> strides() const; // elements
    void *data() const;
    // A row-major copy, of another type or elsewhere. Between GPU and CPU it waits until the copy is made.
    Tensor copied(int32_t dtype, std::optional<int> gpu) const;
    // The elements in row-major order, wherever the tensor is. `name` stands in the message of the InputError thrown if
    // it is of another type: float32 or float64; int32 or int64; uint8.
    std::vector<double> reals(const std::string &name) const;
    std::vector<int> integers(const std::string &name) const; // InputError, too, if one does not fit an int
    std::string bytes(const std::string &name) const;
    // Hands the handle over.
    AtenTensorHandle release() { return handle.release(); }

private:
    struct Delete {
        void operator()(AtenTensorHandle tensor) const { aoti_torch_delete_tensor_object(tensor); }
    };
    std::unique_ptr<AtenTensorOpaque, Delete> handle;

    template <class T, class Out, class Convert> void read(Out &out, Convert convert) const;
};

// "(3, 3)"
std::string shapeText(const std::vector<int64_t> &shape);

} // namespace so3krates::torch
