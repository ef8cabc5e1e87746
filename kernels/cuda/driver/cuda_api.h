#pragma once
// The part of NVIDIA's driver interface that we use, as in cuda.h, which is not needed to build.
// tests/cuda/check_cuda_api.cpp compares with it where it is installed.

#include <cstddef>

namespace so3krates::cuda {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
// Declared apart, so that they are ours also where cuda.h came first.
struct CUctx_st;
struct CUmod_st;
struct CUfunc_st;
struct CUstream_st;
struct CUgraph_st;
struct CUgraphExec_st;
struct CUevent_st;
struct CUgraphNode_st;
struct CUuserObject_st;
using CUcontext = CUctx_st *;
using CUmodule = CUmod_st *;
using CUfunction = CUfunc_st *;
using CUstream = CUstream_st *;
using CUgraph = CUgraph_st *;
using CUgraphExec = CUgraphExec_st *;
using CUevent = CUevent_st *;
using CUgraphNode = CUgraphNode_st *;
using CUuserObject = CUuserObject_st *;

constexpr CUresult CUDA_SUCCESS = 0;
constexpr CUresult CUDA_ERROR_OUT_OF_MEMORY = 2;
constexpr CUresult CUDA_ERROR_STUB_LIBRARY = 34;
constexpr CUresult CUDA_ERROR_DEVICE_UNAVAILABLE = 46;
constexpr CUresult CUDA_ERROR_NO_DEVICE = 100;
constexpr CUresult CUDA_ERROR_INVALID_DEVICE = 101;
constexpr CUresult CUDA_ERROR_NO_BINARY_FOR_GPU = 209;
constexpr CUresult CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222;
constexpr CUresult CUDA_ERROR_NOT_FOUND = 500;
constexpr CUresult CUDA_ERROR_ILLEGAL_ADDRESS = 700;
constexpr CUresult CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701;
constexpr CUresult CUDA_ERROR_LAUNCH_TIMEOUT = 702;
constexpr CUresult CUDA_ERROR_LAUNCH_FAILED = 719;
constexpr CUresult CUDA_ERROR_SYSTEM_NOT_READY = 802;
constexpr CUresult CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803;
constexpr CUresult CUDA_ERROR_UNKNOWN = 999;

constexpr int CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16;
constexpr int CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75;
constexpr int CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76;
constexpr int CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1;
constexpr int CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8;
constexpr unsigned CU_STREAM_NON_BLOCKING = 1;
constexpr int CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1;
constexpr int CU_STREAM_CAPTURE_STATUS_NONE = 0;
constexpr int CU_STREAM_CAPTURE_STATUS_ACTIVE = 1;
constexpr unsigned CU_USER_OBJECT_NO_DESTRUCTOR_SYNC = 1;
constexpr unsigned CU_GRAPH_USER_OBJECT_MOVE = 1;
constexpr int CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9;
constexpr unsigned CU_EVENT_DISABLE_TIMING = 2;
constexpr unsigned CU_EVENT_RECORD_DEFAULT = 0;
constexpr unsigned CU_EVENT_RECORD_EXTERNAL = 1;

// F(name, symbol in the library, types of the arguments). Names without suffix are the first version of a function.
#define SO3KRATES_DRIVER_FUNCTIONS(F)                                                                                  \
    F(init, cuInit, unsigned)                                                                                          \
    F(driverGetVersion, cuDriverGetVersion, int *)                                                                     \
    F(getErrorName, cuGetErrorName, CUresult, const char **)                                                           \
    F(getErrorString, cuGetErrorString, CUresult, const char **)                                                       \
    F(deviceGetCount, cuDeviceGetCount, int *)                                                                         \
    F(deviceGet, cuDeviceGet, CUdevice *, int)                                                                         \
    F(deviceGetName, cuDeviceGetName, char *, int, CUdevice)                                                           \
    F(deviceGetAttribute, cuDeviceGetAttribute, int *, int, CUdevice)                                                  \
    F(deviceTotalMem, cuDeviceTotalMem_v2, size_t *, CUdevice)                                                         \
    F(primaryCtxRetain, cuDevicePrimaryCtxRetain, CUcontext *, CUdevice)                                               \
    F(primaryCtxRelease, cuDevicePrimaryCtxRelease_v2, CUdevice)                                                       \
    F(ctxGetCurrent, cuCtxGetCurrent, CUcontext *)                                                                     \
    F(ctxGetDevice, cuCtxGetDevice, CUdevice *)                                                                        \
    F(ctxPushCurrent, cuCtxPushCurrent_v2, CUcontext)                                                                  \
    F(ctxPopCurrent, cuCtxPopCurrent_v2, CUcontext *)                                                                  \
    F(moduleLoadData, cuModuleLoadData, CUmodule *, const void *)                                                      \
    F(moduleUnload, cuModuleUnload, CUmodule)                                                                          \
    F(moduleGetFunction, cuModuleGetFunction, CUfunction *, CUmodule, const char *)                                    \
    F(funcGetAttribute, cuFuncGetAttribute, int *, int, CUfunction)                                                    \
    F(funcSetAttribute, cuFuncSetAttribute, CUfunction, int, int)                                                      \
    F(streamCreate, cuStreamCreate, CUstream *, unsigned)                                                              \
    F(streamDestroy, cuStreamDestroy_v2, CUstream)                                                                     \
    F(streamSynchronize, cuStreamSynchronize, CUstream)                                                                \
    F(memAlloc, cuMemAlloc_v2, CUdeviceptr *, size_t)                                                                  \
    F(memFree, cuMemFree_v2, CUdeviceptr)                                                                              \
    F(memGetInfo, cuMemGetInfo_v2, size_t *, size_t *)                                                                 \
    F(memcpyHtoDAsync, cuMemcpyHtoDAsync_v2, CUdeviceptr, const void *, size_t, CUstream)                              \
    F(memcpyDtoHAsync, cuMemcpyDtoHAsync_v2, void *, CUdeviceptr, size_t, CUstream)                                    \
    F(memAllocHost, cuMemAllocHost_v2, void **, size_t)                                                                \
    F(memFreeHost, cuMemFreeHost, void *)                                                                              \
    F(eventCreate, cuEventCreate, CUevent *, unsigned)                                                                 \
    F(eventDestroy, cuEventDestroy_v2, CUevent)                                                                        \
    F(eventRecord, cuEventRecordWithFlags, CUevent, CUstream, unsigned)                                                \
    F(eventSynchronize, cuEventSynchronize, CUevent)                                                                   \
    F(memcpyDtoDAsync, cuMemcpyDtoDAsync_v2, CUdeviceptr, CUdeviceptr, size_t, CUstream)                               \
    F(pointerGetAttribute, cuPointerGetAttribute, void *, int, CUdeviceptr)                                            \
    F(streamWaitEvent, cuStreamWaitEvent, CUstream, CUevent, unsigned)                                                 \
    F(memsetD8Async, cuMemsetD8Async, CUdeviceptr, unsigned char, size_t, CUstream)                                    \
    F(launchKernel, cuLaunchKernel, CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,  \
      CUstream, void **, void **)                                                                                      \
    F(streamBeginCapture, cuStreamBeginCapture_v2, CUstream, int)                                                      \
    F(streamEndCapture, cuStreamEndCapture, CUstream, CUgraph *)                                                       \
    F(graphInstantiate, cuGraphInstantiateWithFlags, CUgraphExec *, CUgraph, unsigned long long)                       \
    F(graphDestroy, cuGraphDestroy, CUgraph)                                                                           \
    F(graphLaunch, cuGraphLaunch, CUgraphExec, CUstream)                                                               \
    F(graphExecDestroy, cuGraphExecDestroy, CUgraphExec)                                                               \
    F(streamGetCaptureInfo, cuStreamGetCaptureInfo_v2, CUstream, int *, unsigned long long *, CUgraph *,               \
      const CUgraphNode **, size_t *)                                                                                  \
    F(userObjectCreate, cuUserObjectCreate, CUuserObject *, void *, void (*)(void *), unsigned, unsigned)              \
    F(graphRetainUserObject, cuGraphRetainUserObject, CUgraph, CUuserObject, unsigned, unsigned)

struct DriverFunctions {
#define SO3KRATES_DECLARE(name, symbol, ...) CUresult (*name)(__VA_ARGS__);
    SO3KRATES_DRIVER_FUNCTIONS(SO3KRATES_DECLARE)
#undef SO3KRATES_DECLARE
};

} // namespace so3krates::cuda
