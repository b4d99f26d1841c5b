//===- DeviceRegistry.h - Devices by name -----------------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_DEVICEREGISTRY_H
#define ODYSSEY_RUNTIME_DEVICEREGISTRY_H

#include "odyssey/runtime/Cuda.h"
#include "odyssey/runtime/Device.h"
#include "odyssey/runtime/Emulator.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace odyssey::runtime {

struct DeviceOptions {
  EmulatorOptions emulator;
  CudaOptions cuda;
};

/// Opens a device by its name:
///
///   auto      the first GPU, or the emulator on a machine without one
///   cuda      the first GPU
///   cuda:N    GPU N, in the driver's order
///   emulator  the PTX machine on the CPU
///
/// InvalidArgument for another name. `auto` takes the emulator only when there
/// is no GPU; a GPU that fails is an error.
Result<std::shared_ptr<Device>> openDevice(std::string_view name,
                                           const DeviceOptions &options = {});

/// InvalidArgument for a name that `openDevice` can never open.
Status checkDeviceName(std::string_view name);

/// A device that `openDevice` knows, or why a kind of device is not there.
struct DeviceListing {
  /// What `openDevice` takes, for example "cuda:0".
  std::string name;
  DeviceProperties properties;
  /// When this is an error, there are no `properties`.
  Status status;
};

/// All devices of this machine. GPUs are not opened for it.
std::vector<DeviceListing> listDevices(const DeviceOptions &options = {});

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_DEVICEREGISTRY_H
