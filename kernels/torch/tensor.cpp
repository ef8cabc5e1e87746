#include "torch/tensor.h"

#include <limits>
#include <stdexcept>

#include "potential.h"

namespace so3krates::torch {

namespace {

void check(AOTITorchError error, const char *what) {
    if (error != 0)
        throw std::runtime_error(std::string("so3krates: torch refused to give the ") + what + " of a tensor");
}

} // namespace

Tensor Tensor::empty(const std::vector<int64_t> &shape, int32_t dtype, std::optional<int> gpu) {
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t k = shape.size(); k-- > 1;)
        strides[k - 1] = strides[k] * shape[k];
    AtenTensorHandle handle = nullptr;
    check(aoti_torch_empty_strided((int64_t)shape.size(), shape.data(), strides.data(), dtype,
                                   gpu ? aoti_torch_device_type_cuda() : aoti_torch_device_type_cpu(), gpu.value_or(0),
                                   &handle),
          "memory");
    return Tensor(handle);
}

int32_t Tensor::dtype() const {
    int32_t type;
    check(aoti_torch_get_dtype(handle.get(), &type), "type");
    return type;
}

std::optional<int> Tensor::gpu() const {
    int32_t type, index;
    check(aoti_torch_get_device_type(handle.get(), &type), "device");
    if (type == aoti_torch_device_type_cpu())
        return std::nullopt;
    check(aoti_torch_get_device_index(handle.get(), &index), "device");
    return index;
}

std::vector<int64_t> Tensor::shape() const {
    int64_t dim, *sizes;
    check(aoti_torch_get_dim(handle.get(), &dim), "dimension");
    check(aoti_torch_get_sizes(handle.get(), &sizes), "shape");
    return {sizes, sizes + dim};
}

std::vector<int64_t> Tensor::strides() const {
    int64_t dim, *strides;
    check(aoti_torch_get_dim(handle.get(), &dim), "dimension");
    check(aoti_torch_get_strides(handle.get(), &strides), "strides");
    return {strides, strides + dim};
}

void *Tensor::data() const {
    void *data;
    check(aoti_torch_get_data_ptr(handle.get(), &data), "data");
    return data;
}

Tensor Tensor::copied(int32_t dtype, std::optional<int> gpu) const {
    Tensor copy = empty(shape(), dtype, gpu);
    check(aoti_torch_copy_(copy.handle.get(), handle.get(), 0), "copy");
    return copy;
}

template <class T, class Out, class Convert> void Tensor::read(Out &out, Convert convert) const {
    if (gpu())
        return copied(dtype(), std::nullopt).read<T>(out, convert);
    const std::vector<int64_t> sizes = shape(), strides = this->strides();
    size_t count = 1;
    for (int64_t size : sizes)
        count *= (size_t)size;
    out.reserve(count);
    std::vector<int64_t> index(sizes.size(), 0);
    const T *element = static_cast<const T *>(data());
    for (size_t done = 0; done < count; done++) {
        out.push_back(convert(*element));
        for (size_t k = sizes.size(); k-- > 0;) { // to the next element in row-major order
            element += strides[k];
            if (++index[k] < sizes[k])
                break;
            element -= strides[k] * sizes[k];
            index[k] = 0;
        }
    }
}

std::vector<double> Tensor::reals(const std::string &name) const {
    std::vector<double> out;
    if (dtype() == aoti_torch_dtype_float64())
        read<double>(out, [](double value) { return value; });
    else if (dtype() == aoti_torch_dtype_float32())
        read<float>(out, [](float value) { return (double)value; });
    else
        throw InputError(name + " must be float32 or float64: " + name + ".to(torch.float32)");
    return out;
}

std::vector<int> Tensor::integers(const std::string &name) const {
    std::vector<int> out;
    if (dtype() == aoti_torch_dtype_int32())
        read<int32_t>(out, [](int32_t value) { return value; });
    else if (dtype() == aoti_torch_dtype_int64())
        read<int64_t>(out, [&](int64_t value) {
            if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max())
                throw InputError(name + " holds " + std::to_string(value) + ", which is out of range");
            return (int)value;
        });
    else
        throw InputError(name + " must be int32 or int64: " + name + ".to(torch.int64)");
    return out;
}

std::string Tensor::bytes(const std::string &name) const {
    if (dtype() != aoti_torch_dtype_uint8())
        throw InputError(name + " must be uint8");
    std::string out;
    read<char>(out, [](char value) { return value; });
    return out;
}

std::string shapeText(const std::vector<int64_t> &shape) {
    std::string text = "(";
    for (size_t k = 0; k < shape.size(); k++)
        text += (k ? ", " : "") + std::to_string(shape[k]);
    return text + (shape.size() == 1 ? ",)" : ")");
}

} // namespace so3krates::torch
