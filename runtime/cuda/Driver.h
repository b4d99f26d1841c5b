//===- Driver.h - The CUDA driver library, loaded at run time ---*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_CUDA_DRIVER_H
#define ODYSSEY_RUNTIME_CUDA_DRIVER_H

#include "DriverTypes.h"
#include "odyssey/runtime/Status.h"

#include <memory>
#include <string>

namespace odyssey::runtime::cuda {

// X(member, exported symbol, parameters): every function of the driver that the
// runtime calls. Symbols carry the version of the interface that is declared
// here; the driver keeps exporting old ones.
#define ODYSSEY_CUDA_REQUIRED_SYMBOLS(X)                                       \
  X(init, "cuInit", (unsigned flags))                                          \
  X(getErrorName, "cuGetErrorName", (DriverResult, const char **))             \
  X(getErrorString, "cuGetErrorString", (DriverResult, const char **))         \
  X(driverGetVersion, "cuDriverGetVersion", (int *))                           \
  X(deviceGetCount, "cuDeviceGetCount", (int *))                               \
  X(deviceGet, "cuDeviceGet", (DeviceOrdinal *, int))                          \
  X(deviceGetName, "cuDeviceGetName", (char *, int, DeviceOrdinal))            \
  X(deviceGetAttribute, "cuDeviceGetAttribute",                                \
    (int *, DeviceAttribute, DeviceOrdinal))                                   \
  X(deviceTotalMem, "cuDeviceTotalMem_v2", (size_t *, DeviceOrdinal))          \
  X(primaryContextRetain, "cuDevicePrimaryCtxRetain",                          \
    (Context *, DeviceOrdinal))                                                \
  X(primaryContextRelease, "cuDevicePrimaryCtxRelease_v2", (DeviceOrdinal))    \
  X(contextSetCurrent, "cuCtxSetCurrent", (Context))                           \
  X(streamCreate, "cuStreamCreate", (Stream *, unsigned flags))                \
  X(streamDestroy, "cuStreamDestroy_v2", (Stream))                             \
  X(streamSynchronize, "cuStreamSynchronize", (Stream))                        \
  X(streamBeginCapture, "cuStreamBeginCapture_v2", (Stream, CaptureMode))      \
  X(streamEndCapture, "cuStreamEndCapture", (Stream, Graph *))                 \
  X(memAlloc, "cuMemAlloc_v2", (DevicePointer *, size_t))                      \
  X(memFree, "cuMemFree_v2", (DevicePointer))                                  \
  X(memHostAlloc, "cuMemHostAlloc", (void **, size_t, unsigned flags))         \
  X(memFreeHost, "cuMemFreeHost", (void *))                                    \
  X(memcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                   \
    (DevicePointer, const void *, size_t, Stream))                             \
  X(memcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                                   \
    (void *, DevicePointer, size_t, Stream))                                   \
  X(memsetD8Async, "cuMemsetD8Async",                                          \
    (DevicePointer, unsigned char, size_t, Stream))                            \
  X(moduleLoadDataEx, "cuModuleLoadDataEx",                                    \
    (Module *, const void *, unsigned, JitOption *, void **))                  \
  X(moduleUnload, "cuModuleUnload", (Module))                                  \
  X(moduleGetFunction, "cuModuleGetFunction",                                  \
    (Function *, Module, const char *))                                        \
  X(functionGetAttribute, "cuFuncGetAttribute",                                \
    (int *, FunctionAttribute, Function))                                      \
  X(functionSetAttribute, "cuFuncSetAttribute",                                \
    (Function, FunctionAttribute, int))                                        \
  X(launchKernelEx, "cuLaunchKernelEx",                                        \
    (const LaunchConfig *, Function, void **parameters, void **extra))         \
  X(eventCreate, "cuEventCreate", (Event *, unsigned flags))                   \
  X(eventDestroy, "cuEventDestroy_v2", (Event))                                \
  X(eventRecord, "cuEventRecord", (Event, Stream))                             \
  X(eventSynchronize, "cuEventSynchronize", (Event))                           \
  X(eventElapsedTime, "cuEventElapsedTime",                                    \
    (float *milliseconds, Event start, Event end))                             \
  X(graphInstantiate, "cuGraphInstantiateWithFlags",                           \
    (GraphExec *, Graph, unsigned long long flags))                            \
  X(graphDestroy, "cuGraphDestroy", (Graph))                                   \
  X(graphLaunch, "cuGraphLaunch", (GraphExec, Stream))                         \
  X(graphExecDestroy, "cuGraphExecDestroy", (GraphExec))

// Absent in older drivers that are otherwise good enough; null then.
#define ODYSSEY_CUDA_OPTIONAL_SYMBOLS(X)                                       \
  /* Since 12.4: offset and size of a kernel's parameter. */                   \
  X(functionGetParamInfo, "cuFuncGetParamInfo",                                \
    (Function, size_t index, size_t *offset, size_t *bytes))

/// The driver's functions.
struct Driver {
#define ODYSSEY_CUDA_MEMBER(member, symbol, parameters)                        \
  DriverResult(*member) parameters = nullptr;
  ODYSSEY_CUDA_REQUIRED_SYMBOLS(ODYSSEY_CUDA_MEMBER)
  ODYSSEY_CUDA_OPTIONAL_SYMBOLS(ODYSSEY_CUDA_MEMBER)
#undef ODYSSEY_CUDA_MEMBER

  /// Opens the library, finds the functions and initializes the driver.
  /// NotFound without a library or without a GPU, FailedPrecondition when a
  /// function is missing. The library stays open until the process ends.
  static Result<std::shared_ptr<const Driver>> load(const std::string &library);

  /// Success, or an error with `what` and the driver's name and description of
  /// `result`. This is the one place that gives them a StatusCode.
  Status check(DriverResult result, const std::string &what) const;
};

/// Whether an error of this kind ends the life of the context: every further
/// call of the driver fails as well.
bool isFault(DriverResult result);

} // namespace odyssey::runtime::cuda

#endif // ODYSSEY_RUNTIME_CUDA_DRIVER_H
