// Compiles only if cuda_api.h agrees with NVIDIA's cuda.h.
// With it, cuda.h declares older versions of functions under their own names, too.
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include <tuple>
#include <type_traits>

#include "cuda/driver/cuda_api.h"

namespace ours = so3krates::cuda;

#define SAME_VALUE(name) static_assert(int(name) == int(ours::name), #name)
SAME_VALUE(CUDA_SUCCESS);
SAME_VALUE(CUDA_ERROR_OUT_OF_MEMORY);
SAME_VALUE(CUDA_ERROR_STUB_LIBRARY);
SAME_VALUE(CUDA_ERROR_DEVICE_UNAVAILABLE);
SAME_VALUE(CUDA_ERROR_NO_DEVICE);
SAME_VALUE(CUDA_ERROR_INVALID_DEVICE);
SAME_VALUE(CUDA_ERROR_NO_BINARY_FOR_GPU);
SAME_VALUE(CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
SAME_VALUE(CUDA_ERROR_NOT_FOUND);
SAME_VALUE(CUDA_ERROR_ILLEGAL_ADDRESS);
SAME_VALUE(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
SAME_VALUE(CUDA_ERROR_LAUNCH_TIMEOUT);
SAME_VALUE(CUDA_ERROR_LAUNCH_FAILED);
SAME_VALUE(CUDA_ERROR_SYSTEM_NOT_READY);
SAME_VALUE(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
SAME_VALUE(CUDA_ERROR_UNKNOWN);
SAME_VALUE(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME_VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME_VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME_VALUE(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
SAME_VALUE(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME_VALUE(CU_STREAM_NON_BLOCKING);
SAME_VALUE(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
SAME_VALUE(CU_STREAM_CAPTURE_STATUS_NONE);
SAME_VALUE(CU_STREAM_CAPTURE_STATUS_ACTIVE);
SAME_VALUE(CU_USER_OBJECT_NO_DESTRUCTOR_SYNC);
SAME_VALUE(CU_GRAPH_USER_OBJECT_MOVE);
SAME_VALUE(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL);
SAME_VALUE(CU_EVENT_DISABLE_TIMING);
SAME_VALUE(CU_EVENT_RECORD_DEFAULT);
SAME_VALUE(CU_EVENT_RECORD_EXTERNAL);

// Arguments are passed alike: all pointers are alike, and so are all integers of one size.
template <class A, class B>
constexpr bool isAlike = std::is_pointer_v<A> == std::is_pointer_v<B> && sizeof(A) == sizeof(B) &&
                         std::is_floating_point_v<A> == std::is_floating_point_v<B>;
template <class A, class B> struct SameCall : std::false_type {};
template <class... A, class... B> struct SameCall<CUresult (*)(A...), ours::CUresult (*)(B...)> {
    static constexpr bool value = [] {
        if constexpr (sizeof...(A) == sizeof...(B))
            return (isAlike<A, B> && ...);
        else
            return false;
    }();
};
#define SAME_FUNCTION(name, symbol, ...)                                                                               \
    static_assert(SameCall<decltype(&::symbol), decltype(ours::DriverFunctions::name)>::value, #symbol);
SO3KRATES_DRIVER_FUNCTIONS(SAME_FUNCTION)
