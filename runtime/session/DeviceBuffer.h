//===- DeviceBuffer.h - Owned device memory ---------------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_SESSION_DEVICEBUFFER_H
#define ODYSSEY_RUNTIME_SESSION_DEVICEBUFFER_H

#include "odyssey/runtime/Device.h"

#include <utility>

namespace odyssey::runtime {

/// Frees an address of a device's memory at the end of its life. The device
/// must outlive it.
class DeviceBuffer {
public:
  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer &&other) noexcept { *this = std::move(other); }
  DeviceBuffer &operator=(DeviceBuffer &&other) noexcept {
    std::swap(device, other.device);
    std::swap(where, other.where);
    return *this;
  }
  ~DeviceBuffer() {
    // There is nobody to tell, and a device that faulted takes all its memory
    // along anyway.
    if (where)
      (void)device->free(where);
  }

  static Result<DeviceBuffer> allocate(Device &device, size_t bytes,
                                       std::string_view label) {
    ODYSSEY_ASSIGN_OR_RETURN(DeviceAddress address,
                             device.allocate(bytes, label));
    return DeviceBuffer(device, address);
  }
  static Result<DeviceBuffer> import(Device &device,
                                     std::span<const std::byte> host,
                                     std::string_view label) {
    ODYSSEY_ASSIGN_OR_RETURN(
        DeviceAddress address,
        device.importReadOnly(host.data(), host.size(), label));
    return DeviceBuffer(device, address);
  }

  DeviceAddress address() const { return where; }

private:
  DeviceBuffer(Device &device, DeviceAddress address)
      : device(&device), where(address) {}

  Device *device = nullptr;
  DeviceAddress where = 0;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_DEVICEBUFFER_H
