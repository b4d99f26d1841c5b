//===- DriverTypes.h - The part of the driver's ABI in use ------*- C++ -*-===//
//
// Types and constants of the CUDA driver API, written down from its
// documentation (https://docs.nvidia.com/cuda/cuda-driver-api), so that the
// runtime builds where no CUDA toolkit is installed. They are a stable binary
// interface; test/unit/Device/CudaAbiTest.cpp compares them with cuda.h where
// that exists.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_CUDA_DRIVERTYPES_H
#define ODYSSEY_RUNTIME_CUDA_DRIVERTYPES_H

#include <cstddef>
#include <cstdint>

namespace odyssey::runtime::cuda {

/// CUdevice and CUdeviceptr.
using DeviceOrdinal = int;
using DevicePointer = unsigned long long;

/// CUcontext, CUstream, ...: pointers to what only the driver knows.
using Context = struct ContextTag *;
using Module = struct ModuleTag *;
using Function = struct FunctionTag *;
using Stream = struct StreamTag *;
using Event = struct EventTag *;
using Graph = struct GraphTag *;
using GraphExec = struct GraphExecTag *;

/// CUresult. Only what the runtime tells apart; the driver has names for all.
enum class DriverResult : int {
  Success = 0,
  InvalidValue = 1,
  OutOfMemory = 2,
  /// The library is a stand-in for building only.
  StubLibrary = 34,
  NoDevice = 100,
  InvalidDevice = 101,
  InvalidImage = 200,
  NoBinaryForGpu = 209,
  EccUncorrectable = 214,
  InvalidPtx = 218,
  UnsupportedPtxVersion = 222,
  Contained = 226,
  NotFound = 500,
  IllegalAddress = 700,
  LaunchOutOfResources = 701,
  LaunchTimeout = 702,
  Assert = 710,
  HardwareStackError = 714,
  IllegalInstruction = 715,
  MisalignedAddress = 716,
  InvalidAddressSpace = 717,
  InvalidPc = 718,
  LaunchFailed = 719,
  NotSupported = 801,
  SystemDriverMismatch = 803,
};

/// CUdevice_attribute.
enum class DeviceAttribute : int {
  ClockRateKilohertz = 13,
  MultiprocessorCount = 16,
  MemoryClockRateKilohertz = 36,
  MemoryBusWidthBits = 37,
  L2CacheBytes = 38,
  ComputeCapabilityMajor = 75,
  ComputeCapabilityMinor = 76,
  MaxSharedMemoryPerBlockOptin = 97,
};

/// CUfunction_attribute.
enum class FunctionAttribute : int {
  MaxThreadsPerBlock = 0,
  StaticSharedBytes = 1,
  MaxDynamicSharedBytes = 8,
  NonPortableClusterSizeAllowed = 14,
};

/// CUjit_option.
enum class JitOption : int {
  ErrorLogBuffer = 5,
  ErrorLogBufferBytes = 6,
};

/// CU_STREAM_NON_BLOCKING: no synchronization with the legacy default stream.
inline constexpr unsigned kStreamNonBlocking = 1;
/// CUevent_flags: with timing.
inline constexpr unsigned kEventDefault = 0;

/// CUstreamCaptureMode.
enum class CaptureMode : int { ThreadLocal = 1 };

/// CUlaunchAttributeID.
enum class LaunchAttributeId : int {
  ClusterDimension = 4,
  ProgrammaticStreamSerialization = 6,
};

/// CUlaunchAttribute: an id, padded to 8 bytes, and a value of 64.
struct LaunchAttribute {
  LaunchAttributeId id;
  int padding = 0;
  union Value {
    unsigned clusterDimension[3];
    int programmaticStreamSerializationAllowed;
    unsigned char bytes[64];
  } value = {};
};
static_assert(sizeof(LaunchAttribute) == 72);

/// CUlaunchConfig.
struct LaunchConfig {
  unsigned gridX, gridY, gridZ;
  unsigned blockX, blockY, blockZ;
  unsigned sharedBytes;
  Stream stream;
  LaunchAttribute *attributes;
  unsigned attributeCount;
};
static_assert(sizeof(LaunchConfig) == 56);

} // namespace odyssey::runtime::cuda

#endif // ODYSSEY_RUNTIME_CUDA_DRIVERTYPES_H
