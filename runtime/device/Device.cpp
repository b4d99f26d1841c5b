//===- Device.cpp - What every device shares ------------------------------===//

#include "odyssey/runtime/Device.h"

namespace odyssey::runtime {

Device::~Device() = default;

Result<DeviceAddress> Device::importReadOnly(const void *host, size_t bytes,
                                             std::string_view label) {
  ODYSSEY_ASSIGN_OR_RETURN(DeviceAddress address, allocate(bytes, label));
  if (Status copied = copyToDevice(address, host, bytes); !copied.ok()) {
    (void)free(address);
    return copied;
  }
  return address;
}

} // namespace odyssey::runtime
