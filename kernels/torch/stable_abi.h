#pragma once
// The part of LibTorch's stable C interface (torch/csrc/inductor/aoti_torch/c/shim.h) that the operator needs, as of
// torch 2.9. Declared here so that building needs no torch and one binary serves every torch from 2.9 on;
// tests/torch_operator/check_stable_abi.cpp holds the declarations against an installed torch's header.

#include <cstdint>

extern "C" {

struct AtenTensorOpaque;
using AtenTensorHandle = AtenTensorOpaque *;
class TorchLibraryOpaque;
using TorchLibraryHandle = TorchLibraryOpaque *;
using AOTITorchError = int32_t; // 0: success
// An argument or a result: a number's bytes, an owned tensor handle, or for an optional the address of one on the heap.
using StableIValue = uint64_t;

int32_t aoti_torch_device_type_cpu();
int32_t aoti_torch_device_type_cuda();
int32_t aoti_torch_dtype_float32();
int32_t aoti_torch_dtype_float64();
int32_t aoti_torch_dtype_int32();
int32_t aoti_torch_dtype_int64();
int32_t aoti_torch_dtype_uint8();

AOTITorchError aoti_torch_delete_tensor_object(AtenTensorHandle tensor);
AOTITorchError aoti_torch_get_data_ptr(AtenTensorHandle tensor, void **data);
AOTITorchError aoti_torch_get_dim(AtenTensorHandle tensor, int64_t *dim);
AOTITorchError aoti_torch_get_sizes(AtenTensorHandle tensor, int64_t **sizes);
AOTITorchError aoti_torch_get_strides(AtenTensorHandle tensor, int64_t **strides);
AOTITorchError aoti_torch_get_dtype(AtenTensorHandle tensor, int32_t *dtype);
AOTITorchError aoti_torch_get_device_type(AtenTensorHandle tensor, int32_t *deviceType);
AOTITorchError aoti_torch_get_device_index(AtenTensorHandle tensor, int32_t *deviceIndex);
AOTITorchError aoti_torch_copy_(AtenTensorHandle to, AtenTensorHandle from, int32_t nonBlocking);
AOTITorchError aoti_torch_empty_strided(int64_t dim, const int64_t *sizes, const int64_t *strides, int32_t dtype,
                                        int32_t deviceType, int32_t deviceIndex, AtenTensorHandle *tensor);

AOTITorchError aoti_torch_library_init_fragment(const char *ns, const char *file, uint32_t line,
                                                TorchLibraryHandle *library);
AOTITorchError aoti_torch_library_init_impl(const char *ns, const char *dispatchKey, const char *file, uint32_t line,
                                            TorchLibraryHandle *library);
AOTITorchError aoti_torch_library_def(TorchLibraryHandle library, const char *schema);
AOTITorchError aoti_torch_library_impl(TorchLibraryHandle library, const char *name,
                                       void (*kernel)(StableIValue *stack, uint64_t numArguments, uint64_t numResults));
}
