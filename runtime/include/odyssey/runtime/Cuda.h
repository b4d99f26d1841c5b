//===- Cuda.h - NVIDIA GPUs as devices --------------------------*- C++ -*-===//
//
// The driver library is loaded when it is asked for, so that one program runs
// with and without a GPU, and needs no CUDA toolkit to be built.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_CUDA_H
#define ODYSSEY_RUNTIME_CUDA_H

#include "odyssey/runtime/Device.h"

#include <memory>
#include <string>
#include <vector>

namespace odyssey::runtime {

struct CudaOptions {
  /// Which GPU, in the driver's order (CUDA_VISIBLE_DEVICES applies).
  int ordinal = 0;
  /// The driver library, as dlopen takes it. Tests put a fake in its place.
  std::string library = "libcuda.so.1";
};

/// Opens a GPU. NotFound when there is no driver or no such GPU,
/// FailedPrecondition when the driver is too old.
Result<std::unique_ptr<Device>>
createCudaDevice(const CudaOptions &options = {});

/// All GPUs, in the driver's order. `ordinal` is ignored. NotFound as above.
Result<std::vector<DeviceProperties>>
listCudaDevices(const CudaOptions &options = {});

/// The CUstream that all work of a GPU goes through, so that another library
/// (cuBLAS) can put its own work between the runtime's, recordings included;
/// its context is the primary one. Null for a device that is no GPU.
void *cudaStream(Device &device);

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_CUDA_H
