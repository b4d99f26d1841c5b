//===- CudaAbiTest.cpp - DriverTypes.h against cuda.h ---------------------===//
//
// Built where a CUDA toolkit is installed.
//
//===----------------------------------------------------------------------===//

#include "Driver.h"

// cuda.h maps plain names to the newest versions; where the runtime uses an
// older one, only the parameters are compared, which are the same.
#include <cuda.h>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <type_traits>

using namespace odyssey::runtime::cuda;

namespace {

#define EXPECT_SAME(ours, theirs)                                              \
  static_assert(static_cast<int>(ours) == static_cast<int>(theirs))

EXPECT_SAME(DriverResult::Success, CUDA_SUCCESS);
EXPECT_SAME(DriverResult::InvalidValue, CUDA_ERROR_INVALID_VALUE);
EXPECT_SAME(DriverResult::OutOfMemory, CUDA_ERROR_OUT_OF_MEMORY);
EXPECT_SAME(DriverResult::StubLibrary, CUDA_ERROR_STUB_LIBRARY);
EXPECT_SAME(DriverResult::NoDevice, CUDA_ERROR_NO_DEVICE);
EXPECT_SAME(DriverResult::InvalidDevice, CUDA_ERROR_INVALID_DEVICE);
EXPECT_SAME(DriverResult::InvalidImage, CUDA_ERROR_INVALID_IMAGE);
EXPECT_SAME(DriverResult::NoBinaryForGpu, CUDA_ERROR_NO_BINARY_FOR_GPU);
EXPECT_SAME(DriverResult::EccUncorrectable, CUDA_ERROR_ECC_UNCORRECTABLE);
EXPECT_SAME(DriverResult::InvalidPtx, CUDA_ERROR_INVALID_PTX);
EXPECT_SAME(DriverResult::UnsupportedPtxVersion,
            CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
EXPECT_SAME(DriverResult::Contained, CUDA_ERROR_CONTAINED);
EXPECT_SAME(DriverResult::NotFound, CUDA_ERROR_NOT_FOUND);
EXPECT_SAME(DriverResult::IllegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS);
EXPECT_SAME(DriverResult::LaunchOutOfResources,
            CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
EXPECT_SAME(DriverResult::LaunchTimeout, CUDA_ERROR_LAUNCH_TIMEOUT);
EXPECT_SAME(DriverResult::Assert, CUDA_ERROR_ASSERT);
EXPECT_SAME(DriverResult::HardwareStackError, CUDA_ERROR_HARDWARE_STACK_ERROR);
EXPECT_SAME(DriverResult::IllegalInstruction, CUDA_ERROR_ILLEGAL_INSTRUCTION);
EXPECT_SAME(DriverResult::MisalignedAddress, CUDA_ERROR_MISALIGNED_ADDRESS);
EXPECT_SAME(DriverResult::InvalidAddressSpace,
            CUDA_ERROR_INVALID_ADDRESS_SPACE);
EXPECT_SAME(DriverResult::InvalidPc, CUDA_ERROR_INVALID_PC);
EXPECT_SAME(DriverResult::LaunchFailed, CUDA_ERROR_LAUNCH_FAILED);
EXPECT_SAME(DriverResult::NotSupported, CUDA_ERROR_NOT_SUPPORTED);
EXPECT_SAME(DriverResult::SystemDriverMismatch,
            CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);

EXPECT_SAME(DeviceAttribute::MultiprocessorCount,
            CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
EXPECT_SAME(DeviceAttribute::ComputeCapabilityMajor,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
EXPECT_SAME(DeviceAttribute::ComputeCapabilityMinor,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
EXPECT_SAME(DeviceAttribute::MaxSharedMemoryPerBlockOptin,
            CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
EXPECT_SAME(DeviceAttribute::ClockRateKilohertz,
            CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
EXPECT_SAME(DeviceAttribute::MemoryClockRateKilohertz,
            CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
EXPECT_SAME(DeviceAttribute::MemoryBusWidthBits,
            CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
EXPECT_SAME(DeviceAttribute::L2CacheBytes, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
EXPECT_SAME(FunctionAttribute::MaxThreadsPerBlock,
            CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
EXPECT_SAME(FunctionAttribute::StaticSharedBytes,
            CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
EXPECT_SAME(FunctionAttribute::MaxDynamicSharedBytes,
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
EXPECT_SAME(FunctionAttribute::NonPortableClusterSizeAllowed,
            CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED);
EXPECT_SAME(JitOption::ErrorLogBuffer, CU_JIT_ERROR_LOG_BUFFER);
EXPECT_SAME(JitOption::ErrorLogBufferBytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
EXPECT_SAME(kStreamNonBlocking, CU_STREAM_NON_BLOCKING);
EXPECT_SAME(kEventDefault, CU_EVENT_DEFAULT);
EXPECT_SAME(CaptureMode::ThreadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
EXPECT_SAME(LaunchAttributeId::ClusterDimension,
            CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
EXPECT_SAME(LaunchAttributeId::ProgrammaticStreamSerialization,
            CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);

static_assert(std::is_same_v<DevicePointer, CUdeviceptr>);
static_assert(std::is_same_v<DeviceOrdinal, CUdevice>);

static_assert(sizeof(LaunchConfig) == sizeof(CUlaunchConfig));
static_assert(offsetof(LaunchConfig, blockX) ==
              offsetof(CUlaunchConfig, blockDimX));
static_assert(offsetof(LaunchConfig, sharedBytes) ==
              offsetof(CUlaunchConfig, sharedMemBytes));
static_assert(offsetof(LaunchConfig, stream) ==
              offsetof(CUlaunchConfig, hStream));
static_assert(offsetof(LaunchConfig, attributes) ==
              offsetof(CUlaunchConfig, attrs));
static_assert(offsetof(LaunchConfig, attributeCount) ==
              offsetof(CUlaunchConfig, numAttrs));
static_assert(sizeof(LaunchAttribute) == sizeof(CUlaunchAttribute));
static_assert(offsetof(LaunchAttribute, value) ==
              offsetof(CUlaunchAttribute, value));

/// What matters of a parameter at the level of the ABI: its size, and whether
/// it is a pointer.
template <typename T>
constexpr int abiOf = static_cast<int>(sizeof(T)) * 2 + std::is_pointer_v<T>;

template <typename Ours, typename Theirs> struct SameAbi : std::false_type {};
template <typename R1, typename... A1, typename R2, typename... A2>
struct SameAbi<R1 (*)(A1...), R2 (*)(A2...)> {
  static constexpr bool value = [] {
    if constexpr (sizeof...(A1) != sizeof...(A2))
      return false;
    else
      return sizeof(R1) == sizeof(R2) && ((abiOf<A1> == abiOf<A2>) && ...);
  }();
};

#define EXPECT_SAME_FUNCTION(member, function)                                 \
  static_assert(SameAbi<decltype(Driver::member), decltype(&function)>::value)

EXPECT_SAME_FUNCTION(init, cuInit);
EXPECT_SAME_FUNCTION(getErrorName, cuGetErrorName);
EXPECT_SAME_FUNCTION(getErrorString, cuGetErrorString);
EXPECT_SAME_FUNCTION(driverGetVersion, cuDriverGetVersion);
EXPECT_SAME_FUNCTION(deviceGetCount, cuDeviceGetCount);
EXPECT_SAME_FUNCTION(deviceGet, cuDeviceGet);
EXPECT_SAME_FUNCTION(deviceGetName, cuDeviceGetName);
EXPECT_SAME_FUNCTION(deviceGetAttribute, cuDeviceGetAttribute);
EXPECT_SAME_FUNCTION(deviceTotalMem, cuDeviceTotalMem);
EXPECT_SAME_FUNCTION(primaryContextRetain, cuDevicePrimaryCtxRetain);
EXPECT_SAME_FUNCTION(primaryContextRelease, cuDevicePrimaryCtxRelease);
EXPECT_SAME_FUNCTION(contextSetCurrent, cuCtxSetCurrent);
EXPECT_SAME_FUNCTION(streamCreate, cuStreamCreate);
EXPECT_SAME_FUNCTION(streamDestroy, cuStreamDestroy);
EXPECT_SAME_FUNCTION(streamSynchronize, cuStreamSynchronize);
EXPECT_SAME_FUNCTION(streamBeginCapture, cuStreamBeginCapture);
EXPECT_SAME_FUNCTION(streamEndCapture, cuStreamEndCapture);
EXPECT_SAME_FUNCTION(memAlloc, cuMemAlloc);
EXPECT_SAME_FUNCTION(memFree, cuMemFree);
EXPECT_SAME_FUNCTION(memHostAlloc, cuMemHostAlloc);
EXPECT_SAME_FUNCTION(memFreeHost, cuMemFreeHost);
EXPECT_SAME_FUNCTION(memcpyHtoDAsync, cuMemcpyHtoDAsync);
EXPECT_SAME_FUNCTION(memcpyDtoHAsync, cuMemcpyDtoHAsync);
EXPECT_SAME_FUNCTION(memsetD8Async, cuMemsetD8Async);
EXPECT_SAME_FUNCTION(moduleLoadDataEx, cuModuleLoadDataEx);
EXPECT_SAME_FUNCTION(moduleUnload, cuModuleUnload);
EXPECT_SAME_FUNCTION(moduleGetFunction, cuModuleGetFunction);
EXPECT_SAME_FUNCTION(functionGetAttribute, cuFuncGetAttribute);
EXPECT_SAME_FUNCTION(functionSetAttribute, cuFuncSetAttribute);
EXPECT_SAME_FUNCTION(launchKernelEx, cuLaunchKernelEx);
EXPECT_SAME_FUNCTION(eventCreate, cuEventCreate);
EXPECT_SAME_FUNCTION(eventDestroy, cuEventDestroy);
EXPECT_SAME_FUNCTION(eventRecord, cuEventRecord);
EXPECT_SAME_FUNCTION(eventSynchronize, cuEventSynchronize);
EXPECT_SAME_FUNCTION(eventElapsedTime, cuEventElapsedTime);
EXPECT_SAME_FUNCTION(graphInstantiate, cuGraphInstantiateWithFlags);
EXPECT_SAME_FUNCTION(graphDestroy, cuGraphDestroy);
EXPECT_SAME_FUNCTION(graphLaunch, cuGraphLaunch);
EXPECT_SAME_FUNCTION(graphExecDestroy, cuGraphExecDestroy);
#if CUDA_VERSION >= 12040
EXPECT_SAME_FUNCTION(functionGetParamInfo, cuFuncGetParamInfo);
#endif

TEST(CudaAbiTest, AgreesWithTheToolkitsHeader) {
  // All of it was checked by the compiler; union members are left.
  LaunchAttribute ours = {};
  ours.id = LaunchAttributeId::ClusterDimension;
  ours.value.clusterDimension[0] = 2;
  ours.value.clusterDimension[1] = 3;
  ours.value.clusterDimension[2] = 4;
  CUlaunchAttribute theirs;
  memcpy(&theirs, &ours, sizeof(theirs));
  EXPECT_EQ(theirs.id, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
  EXPECT_EQ(theirs.value.clusterDim.x, 2u);
  EXPECT_EQ(theirs.value.clusterDim.y, 3u);
  EXPECT_EQ(theirs.value.clusterDim.z, 4u);
  ours = {};
  ours.id = LaunchAttributeId::ProgrammaticStreamSerialization;
  ours.value.programmaticStreamSerializationAllowed = 1;
  memcpy(&theirs, &ours, sizeof(theirs));
  EXPECT_EQ(theirs.value.programmaticStreamSerializationAllowed, 1);
}

} // namespace
