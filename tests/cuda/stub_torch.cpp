// As much of libtorch's stable interface as the operators need, for the pretended GPU (stub_gpu.cpp): tensors "on the
// GPU" are in a block of its memory that was there before, as torch's allocator has it while a graph is captured.
// stub_ functions are the test's side. With STUB_CUDA: libtorch_cuda.so.

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "torch/stable_abi.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

#ifdef STUB_CUDA

static void *current = nullptr;
EXPORT void stub_set_stream(void *stream) { current = stream; }
EXPORT AOTITorchError aoti_torch_get_current_cuda_stream(int32_t, void **stream) {
    *stream = current;
    return 0;
}

#else

struct AtenTensorOpaque {
    int32_t dtype, device; // Cpu, or Cuda + the GPU's number
    std::vector<int64_t> sizes, strides;
    char *data;
    std::shared_ptr<char> host; // of a tensor on the CPU
};

namespace {

enum { UInt8 = 0, Int32 = 3, Int64 = 4, Float32 = 6, Float64 = 7, Cpu = 0, Cuda = 1 };
using Kernel = void (*)(StableIValue *, uint64_t, uint64_t);

char *poolBegin = nullptr, *poolEnd = nullptr;
std::map<std::string, Kernel> kernels;
std::string lastError;
long copies = 0;

size_t itemBytes(int32_t dtype) { return dtype == UInt8 ? 1 : dtype == Int32 || dtype == Float32 ? 4 : 8; }

double get(const char *at, int32_t dtype) {
    return dtype == Float32   ? *(const float *)at
           : dtype == Float64 ? *(const double *)at
           : dtype == Int32   ? *(const int32_t *)at
           : dtype == Int64   ? double(*(const int64_t *)at)
                              : *(const unsigned char *)at;
}

void set(char *at, int32_t dtype, double value) {
    if (dtype == Float32)
        *(float *)at = float(value);
    else if (dtype == Float64)
        *(double *)at = value;
    else if (dtype == Int32)
        *(int32_t *)at = int32_t(value);
    else if (dtype == Int64)
        *(int64_t *)at = int64_t(value);
    else
        *(unsigned char *)at = (unsigned char)value;
}

size_t countOf(const AtenTensorOpaque &tensor) {
    size_t count = 1;
    for (int64_t size : tensor.sizes)
        count *= size_t(size);
    return count;
}

} // namespace

EXPORT int32_t aoti_torch_device_type_cpu() { return Cpu; }
EXPORT int32_t aoti_torch_device_type_cuda() { return Cuda; }
EXPORT int32_t aoti_torch_dtype_float32() { return Float32; }
EXPORT int32_t aoti_torch_dtype_float64() { return Float64; }
EXPORT int32_t aoti_torch_dtype_int32() { return Int32; }
EXPORT int32_t aoti_torch_dtype_int64() { return Int64; }
EXPORT int32_t aoti_torch_dtype_uint8() { return UInt8; }

EXPORT AOTITorchError aoti_torch_delete_tensor_object(AtenTensorHandle tensor) {
    delete tensor;
    return 0;
}
EXPORT AOTITorchError aoti_torch_get_data_ptr(AtenTensorHandle tensor, void **data) {
    *data = tensor->data;
    return 0;
}
EXPORT AOTITorchError aoti_torch_get_dim(AtenTensorHandle tensor, int64_t *dim) {
    *dim = int64_t(tensor->sizes.size());
    return 0;
}
EXPORT AOTITorchError aoti_torch_get_sizes(AtenTensorHandle tensor, int64_t **sizes) {
    *sizes = tensor->sizes.data();
    return 0;
}
EXPORT AOTITorchError aoti_torch_get_strides(AtenTensorHandle tensor, int64_t **strides) {
    *strides = tensor->strides.data();
    return 0;
}
EXPORT AOTITorchError aoti_torch_get_dtype(AtenTensorHandle tensor, int32_t *dtype) {
    *dtype = tensor->dtype;
    return 0;
}
EXPORT AOTITorchError aoti_torch_get_device_type(AtenTensorHandle tensor, int32_t *type) {
    *type = tensor->device == Cpu ? Cpu : Cuda;
    return 0;
}
EXPORT AOTITorchError aoti_torch_get_device_index(AtenTensorHandle tensor, int32_t *index) {
    *index = tensor->device - Cuda;
    return 0;
}
EXPORT AOTITorchError aoti_torch_empty_strided(int64_t dim, const int64_t *sizes, const int64_t *strides, int32_t dtype,
                                               int32_t device, int32_t, AtenTensorHandle *tensor) {
    auto own = std::make_unique<AtenTensorOpaque>();
    own->dtype = dtype;
    own->device = device;
    own->sizes.assign(sizes, sizes + dim);
    own->strides.assign(strides, strides + dim);
    const size_t bytes = (countOf(*own) * itemBytes(dtype) + 15) / 16 * 16;
    if (device != Cpu) {
        if (poolBegin + bytes > poolEnd)
            return 1;
        own->data = poolBegin;
        poolBegin += bytes;
    } else {
        own->host.reset(new char[bytes + 1], std::default_delete<char[]>());
        own->data = own->host.get();
    }
    *tensor = own.release();
    return 0;
}
// Of row-major tensors.
EXPORT AOTITorchError aoti_torch_copy_(AtenTensorHandle to, AtenTensorHandle from, int32_t) {
    copies++;
    for (size_t k = 0; k < countOf(*to); k++)
        set(to->data + k * itemBytes(to->dtype), to->dtype, get(from->data + k * itemBytes(from->dtype), from->dtype));
    return 0;
}
EXPORT AOTITorchError aoti_torch_library_init_fragment(const char *, const char *, uint32_t,
                                                       TorchLibraryHandle *library) {
    *library = nullptr;
    return 0;
}
EXPORT AOTITorchError aoti_torch_library_init_impl(const char *, const char *key, const char *, uint32_t,
                                                   TorchLibraryHandle *library) {
    *library = reinterpret_cast<TorchLibraryHandle>(const_cast<char *>(key));
    return 0;
}
EXPORT AOTITorchError aoti_torch_library_def(TorchLibraryHandle, const char *) { return 0; }
EXPORT AOTITorchError aoti_torch_library_impl(TorchLibraryHandle library, const char *name, Kernel kernel) {
    kernels[reinterpret_cast<const char *>(library) + std::string(" ") + name] = kernel;
    return 0;
}

// --- the test's side
EXPORT void stub_set_pool(char *begin, size_t bytes) {
    poolBegin = begin;
    poolEnd = begin + bytes;
}
EXPORT long stub_copies() { return copies; }
EXPORT const char *stub_error() { return lastError.c_str(); }
// Row-major, without values.
EXPORT AtenTensorHandle stub_tensor(int64_t dim, const int64_t *sizes, int32_t dtype, int32_t device) {
    std::vector<int64_t> strides(dim, 1);
    for (int64_t k = dim - 1; k > 0; k--)
        strides[k - 1] = strides[k] * sizes[k];
    AtenTensorHandle tensor = nullptr;
    aoti_torch_empty_strided(dim, sizes, strides.data(), dtype, device, 0, &tensor);
    return tensor;
}
EXPORT void *stub_data(AtenTensorHandle tensor) { return tensor->data; }
EXPORT int32_t stub_dtype(AtenTensorHandle tensor) { return tensor->dtype; }
// so3krates::evaluate as dispatched to the GPU; cell: or null. 0: results are four tensors; else stub_error().
EXPORT int stub_evaluate(AtenTensorHandle positions, AtenTensorHandle numbers, AtenTensorHandle cell, double charge,
                         AtenTensorHandle model, int virial, AtenTensorHandle *results) {
    const auto owned = [](AtenTensorHandle tensor) {
        return StableIValue(reinterpret_cast<uintptr_t>(new AtenTensorOpaque(*tensor)));
    };
    StableIValue stack[8] = {};
    stack[0] = owned(positions);
    stack[1] = owned(numbers);
    if (cell)
        stack[2] = StableIValue(reinterpret_cast<uintptr_t>(new StableIValue(owned(cell))));
    std::memcpy(&stack[3], &charge, sizeof charge);
    stack[5] = owned(model);
    stack[7] = virial != 0;
    try {
        kernels.at("CUDA evaluate")(stack, 8, 4);
    } catch (const std::exception &error) {
        lastError = error.what();
        return 1;
    }
    for (int k = 0; k < 4; k++)
        results[k] = reinterpret_cast<AtenTensorHandle>(stack[k]);
    return 0;
}

#endif
