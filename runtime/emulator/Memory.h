//===- Memory.h - The emulator's address space ------------------*- C++ -*-===//
//
// Global memory is a set of allocations, each at a virtual address of its own
// that is never used again, with unmapped space between neighbours. So an
// access that leaves its allocation, or comes after `free`, is always seen.
//
// Shared, local and parameter memory have addresses of their own state space,
// and windows in the generic address space:
//
//   0x0000'1000'0000'0000  global and constant allocations
//   0x0000'7100'0000'0000  shared window (bits 24..31: CTA of the cluster + 1,
//                          or 0 for the thread's own CTA)
//   0x0000'7200'0000'0000  local window
//   0x0000'7300'0000'0000  kernel parameters
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_MEMORY_H
#define ODYSSEY_RUNTIME_EMULATOR_MEMORY_H

#include "odyssey/runtime/Device.h"

#include <map>

namespace odyssey::runtime::emulator {

inline constexpr uint64_t kGlobalBase = 0x0000'1000'0000'0000;
inline constexpr uint64_t kSharedWindow = 0x0000'7100'0000'0000;
inline constexpr uint64_t kLocalWindow = 0x0000'7200'0000'0000;
inline constexpr uint64_t kParamWindow = 0x0000'7300'0000'0000;
inline constexpr uint64_t kWindowBytes = 0x0000'0001'0000'0000;
/// First byte of a CTA's shared memory in the shared space; not 0, so that a
/// null pointer is no valid address there, and aligned for every swizzle.
inline constexpr uint64_t kSharedBase = 1024;
/// First byte of a thread's local memory in the local space.
inline constexpr uint64_t kLocalBase = 256;
/// Distance between the shared memories of a cluster's CTAs.
inline constexpr uint64_t kClusterStride = uint64_t(1) << 24;
/// Unmapped bytes between two allocations.
inline constexpr uint64_t kRedzoneBytes = 64 * 1024;

/// An address as it is printed: 0x1f00.
std::string hexText(uint64_t value);

struct Allocation {
  uint64_t base = 0;
  uint64_t size = 0;
  uint8_t *host = nullptr;
  bool readOnly = false;
  bool owned = false;
  bool freed = false;
  std::string label;
  /// One byte per byte of an owned allocation, not 0 once it was written. Empty
  /// where all bytes count as written.
  std::vector<uint8_t> written;

  bool contains(uint64_t address, uint64_t bytes) const {
    return address - base <= size && bytes <= size - (address - base);
  }
};

/// The global memory of one device. Kernels only look it up; it changes between
/// launches.
class AddressSpace {
public:
  /// `trackWrites` keeps, for each byte, whether it was ever written.
  explicit AddressSpace(bool trackWrites) : trackWrites(trackWrites) {}
  ~AddressSpace();
  AddressSpace(const AddressSpace &) = delete;
  AddressSpace &operator=(const AddressSpace &) = delete;

  Result<DeviceAddress> allocate(size_t bytes, std::string_view label);
  Result<DeviceAddress> importReadOnly(const void *host, size_t bytes,
                                       std::string_view label);
  Status free(DeviceAddress address);

  /// The live allocation that holds `address`, or null.
  const Allocation *find(uint64_t address) const;
  /// The host's view of a range, or an error that says what is wrong with it.
  Result<uint8_t *> range(uint64_t address, size_t bytes, bool write);
  void markWritten(uint64_t address, size_t bytes);
  /// "16 bytes after the end of 'weights' (4096 bytes at 0x...)", for messages.
  std::string describe(uint64_t address) const;

private:
  Allocation &insert(size_t bytes, std::string_view label);

  bool trackWrites;
  uint64_t nextBase = kGlobalBase;
  /// Freed ones stay for error messages, without their memory.
  std::map<uint64_t, Allocation> allocations;
};

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_MEMORY_H
