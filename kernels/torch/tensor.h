#pragma once
// Tensors of the stable interface: owned handles, read by value, whatever their strides.

#include <memory>
#include <string>
#include <vector>

#include "torch/stable_abi.h"

namespace so3krates::torch {

class Tensor {
public:
    // Takes the handle over.
    explicit Tensor(AtenTensorHandle handle) : handle(handle) {}
    // On the CPU, without values, row-major.
    static Tensor empty(const std::vector<int64_t> &shape, int32_t dtype);

    int32_t dtype() const;
    bool isOnCpu() const;
    std::vector<int64_t> shape() const;
    void *data() const;
    // The elements in row-major order. `name` stands in the message of the InputError thrown if the tensor is not on
    // the CPU or of another type: float32 or float64; int32 or int64; uint8.
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

    void requireCpu(const std::string &name) const;
    template <class T, class Out, class Convert> void read(Out &out, Convert convert) const;
};

// "(3, 3)"
std::string shapeText(const std::vector<int64_t> &shape);

} // namespace so3krates::torch
