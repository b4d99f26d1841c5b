//===- DeviceRegistry.cpp - Devices by name -------------------------------===//

#include "odyssey/runtime/DeviceRegistry.h"

#include <charconv>
#include <optional>

namespace odyssey::runtime {

namespace {

/// The N of "cuda:N", 0 for "cuda"; nothing for another name.
std::optional<int> parseOrdinal(std::string_view name) {
  constexpr std::string_view kCuda = "cuda";
  if (name == kCuda)
    return 0;
  if (name.substr(0, kCuda.size() + 1) != "cuda:")
    return std::nullopt;
  name.remove_prefix(kCuda.size() + 1);
  int ordinal = 0;
  auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), ordinal);
  if (error != std::errc() || end != name.data() + name.size() || ordinal < 0)
    return std::nullopt;
  return ordinal;
}

Result<std::shared_ptr<Device>> shared(Result<std::unique_ptr<Device>> device) {
  if (!device.ok())
    return device.status();
  return std::shared_ptr<Device>(std::move(device).value());
}

} // namespace

Status checkDeviceName(std::string_view name) {
  if (name == "auto" || name == "emulator" || parseOrdinal(name))
    return Status::success();
  return invalidArgument("unknown device '" + std::string(name) +
                         "', expected auto, cuda, cuda:N or emulator");
}

Result<std::shared_ptr<Device>> openDevice(std::string_view name,
                                           const DeviceOptions &options) {
  ODYSSEY_RETURN_IF_ERROR(checkDeviceName(name));
  if (name == "auto") {
    auto gpu = createCudaDevice(options.cuda);
    if (gpu.ok() || gpu.status().code() != StatusCode::NotFound)
      return shared(std::move(gpu));
    return shared(createEmulator(options.emulator));
  }
  if (name == "emulator")
    return shared(createEmulator(options.emulator));
  CudaOptions cuda = options.cuda;
  if (name != "cuda")
    cuda.ordinal = *parseOrdinal(name);
  return shared(createCudaDevice(cuda));
}

std::vector<DeviceListing> listDevices(const DeviceOptions &options) {
  std::vector<DeviceListing> result;
  if (auto gpus = listCudaDevices(options.cuda); gpus.ok())
    for (size_t i = 0; i < gpus->size(); ++i)
      result.push_back({"cuda:" + std::to_string(i), (*gpus)[i], Status()});
  else
    result.push_back({"cuda", {}, gpus.status()});
  if (auto emulator = createEmulator(options.emulator); emulator.ok())
    result.push_back({"emulator", (*emulator)->properties(), Status()});
  else
    result.push_back({"emulator", {}, emulator.status()});
  return result;
}

} // namespace odyssey::runtime
