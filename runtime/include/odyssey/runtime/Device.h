//===- Device.h - What runs kernels -----------------------------*- C++ -*-===//
//
// One interface for everything that executes Odyssey's kernels: NVIDIA GPUs
// through the driver (runtime/cuda) and the PTX machine on the CPU
// (runtime/emulator). Every implementation passes the same conformance suite
// (test/unit/Device).
//
// Ownership: a Device owns what it hands out; addresses, modules, kernels and
// graphs die with it at the latest. Threading: calls on one Device come from
// one thread at a time. Ordering: launches, copies and fills take effect in
// the order of the calls; copies to the host and `synchronize` wait for all
// that came before. A fault of a kernel may be reported by the launch itself
// or by the next call that waits, and the device refuses further launches
// after it. The emulator can be opened anew then; a GPU, as CUDA wants it, only
// by another process.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_DEVICE_H
#define ODYSSEY_RUNTIME_DEVICE_H

#include "odyssey/runtime/Status.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace odyssey::runtime {

/// An address in the device's global memory. 0 is never a valid address.
using DeviceAddress = uint64_t;

/// Opaque names of what a device owns. 0 is no object.
enum class ModuleHandle : uint64_t {};
enum class KernelHandle : uint64_t {};
enum class GraphHandle : uint64_t {};

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
};

/// What a device is, as far as the runtime needs to know.
struct DeviceProperties {
  /// "cuda" or "emulator".
  std::string kind;
  /// For people, for example "NVIDIA H200" or "PTX emulator (AVX-512 VNNI)".
  std::string name;
  /// Compute capability as major * 10 + minor (80, 89, 90); 0 means that the
  /// device runs the PTX of any target (the emulator).
  int computeCapability = 0;
  int multiprocessors = 0;
  size_t totalMemoryBytes = 0;
  /// Largest dynamic shared memory of one CTA, in bytes.
  size_t maxSharedBytesPerBlock = 0;
  /// Of the last-level cache; 0 for a device without one.
  size_t cacheBytes = 0;
  /// The highest rates that the device announces, 0 where it announces none:
  /// bytes per second to and from its memory, cycles per second of its cores.
  double memoryBytesPerSecond = 0;
  double clockHertz = 0;
};

/// The code of a module: PTX text, and optionally the cubin that ptxas made of
/// it. A device uses what it can: the emulator the PTX, a GPU the cubin when
/// its compute capability matches `cubinCapability`, else the PTX.
struct ModuleImage {
  /// Shown in errors.
  std::string name;
  std::string_view ptx;
  std::span<const std::byte> cubin;
  /// Compute capability of the cubin as major * 10 + minor; 0 without one.
  int cubinCapability = 0;
};

/// One kernel parameter: its little-endian bits and its size (4 or 8 bytes).
struct KernelArgument {
  uint64_t bits = 0;
  uint32_t size = 0;

  static KernelArgument address(DeviceAddress a) { return {a, 8}; }
  static KernelArgument i32(int32_t v) { return {static_cast<uint32_t>(v), 4}; }
};

struct LaunchRequest {
  KernelHandle kernel = KernelHandle(0);
  Dim3 grid, block;
  /// CTAs per cluster; {1, 1, 1} launches without clusters.
  Dim3 cluster;
  /// Dynamic shared memory in bytes.
  uint32_t sharedBytes = 0;
  /// Programmatic dependent launch: the kernel may start before the one in
  /// front of it has ended, and waits itself with `griddepcontrol.wait`.
  bool programmaticDependentLaunch = false;
  std::span<const KernelArgument> arguments;
};

class Device {
public:
  virtual ~Device();

  virtual const DeviceProperties &properties() const = 0;

  /// Allocates `bytes` (> 0) of uninitialised global memory, aligned to 256
  /// bytes. `label` names the buffer in error messages. ResourceExhausted when
  /// there is not enough memory.
  virtual Result<DeviceAddress> allocate(size_t bytes,
                                         std::string_view label) = 0;

  /// Makes `bytes` of host memory readable by kernels, without a copy where the
  /// device can. The host memory stays alive and unchanged until `free`.
  /// Writing to it from a kernel is an error. The default copies.
  virtual Result<DeviceAddress> importReadOnly(const void *host, size_t bytes,
                                               std::string_view label);

  /// Frees what `allocate` or `importReadOnly` returned. InvalidArgument for
  /// any other address.
  virtual Status free(DeviceAddress address) = 0;

  virtual Status copyToDevice(DeviceAddress destination, const void *source,
                              size_t bytes) = 0;
  virtual Status copyToHost(void *destination, DeviceAddress source,
                            size_t bytes) = 0;
  /// Sets `bytes` bytes to `value`.
  virtual Status fill(DeviceAddress destination, uint8_t value,
                      size_t bytes) = 0;

  /// Loads code; the image may be released after the call. Unsupported, with
  /// name, line and text, for an instruction that the emulator does not know.
  virtual Result<ModuleHandle> loadModule(const ModuleImage &image) = 0;
  virtual Status unloadModule(ModuleHandle module) = 0;
  /// NotFound when the module has no such entry point.
  virtual Result<KernelHandle> getKernel(ModuleHandle module,
                                         const std::string &name) = 0;

  /// InvalidArgument when the arguments do not fit the kernel's parameters or
  /// the launch exceeds a limit of the device.
  virtual Status launch(const LaunchRequest &request) = 0;

  virtual Status synchronize() = 0;

  /// Between `beginRecording` and `endRecording` launches are collected, not
  /// run (copies and fills are refused with FailedPrecondition); `replay` runs
  /// them in their order with the arguments that they were recorded with.
  virtual Status beginRecording() = 0;
  virtual Result<GraphHandle> endRecording() = 0;
  virtual Status replay(GraphHandle graph) = 0;
  virtual Status destroyGraph(GraphHandle graph) = 0;

  /// A time stamp in the stream of work, in seconds from an arbitrary origin,
  /// valid once everything before it has ended. Waits for that.
  virtual Result<double> timestamp() = 0;

  /// Replays a graph `count` times back to back and returns the seconds that
  /// each took. One more replay goes in front, which is not measured, so that
  /// the device never waits for the host. The default takes time stamps.
  virtual Result<std::vector<double>> timeReplays(GraphHandle graph, int count);
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_DEVICE_H
