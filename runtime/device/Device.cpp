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

Result<std::vector<double>> Device::timeReplays(GraphHandle graph, int count) {
  ODYSSEY_RETURN_IF_ERROR(replay(graph));
  ODYSSEY_ASSIGN_OR_RETURN(double begin, timestamp());
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) {
    ODYSSEY_RETURN_IF_ERROR(replay(graph));
    ODYSSEY_ASSIGN_OR_RETURN(double end, timestamp());
    seconds.push_back(end - begin);
    begin = end;
  }
  return seconds;
}

} // namespace odyssey::runtime
