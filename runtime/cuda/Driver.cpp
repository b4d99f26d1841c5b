//===- Driver.cpp - The CUDA driver library, loaded at run time -----------===//

#include "Driver.h"

#include <dlfcn.h>

namespace odyssey::runtime::cuda {

Result<std::shared_ptr<const Driver>>
Driver::load(const std::string &libraryName) {
  // Never closed: the driver registers handlers that run at exit.
  void *library = dlopen(libraryName.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = dlerror();
    return notFound("no NVIDIA driver (" + libraryName +
                    ") on this machine: " + (reason ? reason : "not found"));
  }
  auto driver = std::make_shared<Driver>();
#define ODYSSEY_CUDA_OPTIONAL(member, symbol, parameters)                      \
  driver->member =                                                             \
      reinterpret_cast<decltype(driver->member)>(dlsym(library, symbol));
#define ODYSSEY_CUDA_REQUIRED(member, symbol, parameters)                      \
  ODYSSEY_CUDA_OPTIONAL(member, symbol, parameters)                            \
  if (!driver->member)                                                         \
    return failedPrecondition("the NVIDIA driver (" + libraryName +            \
                              ") is too old: it has no function " symbol       \
                              "; CUDA 11.8 or later is needed");
  ODYSSEY_CUDA_REQUIRED_SYMBOLS(ODYSSEY_CUDA_REQUIRED)
  ODYSSEY_CUDA_OPTIONAL_SYMBOLS(ODYSSEY_CUDA_OPTIONAL)
#undef ODYSSEY_CUDA_REQUIRED
#undef ODYSSEY_CUDA_OPTIONAL

  ODYSSEY_RETURN_IF_ERROR(
      driver->check(driver->init(0), "cannot use the NVIDIA driver"));
  return std::shared_ptr<const Driver>(std::move(driver));
}

bool isFault(DriverResult result) {
  switch (result) {
  case DriverResult::EccUncorrectable:
  case DriverResult::Contained:
  case DriverResult::IllegalAddress:
  case DriverResult::LaunchTimeout:
  case DriverResult::Assert:
  case DriverResult::HardwareStackError:
  case DriverResult::IllegalInstruction:
  case DriverResult::MisalignedAddress:
  case DriverResult::InvalidAddressSpace:
  case DriverResult::InvalidPc:
  case DriverResult::LaunchFailed:
    return true;
  default:
    return false;
  }
}

static StatusCode statusCode(DriverResult result) {
  if (isFault(result))
    return StatusCode::DeviceFault;
  switch (result) {
  case DriverResult::InvalidValue:
    return StatusCode::InvalidArgument;
  case DriverResult::OutOfMemory:
  case DriverResult::LaunchOutOfResources:
    return StatusCode::ResourceExhausted;
  case DriverResult::StubLibrary:
  case DriverResult::NoDevice:
  case DriverResult::InvalidDevice:
  case DriverResult::NotFound:
    return StatusCode::NotFound;
  case DriverResult::InvalidImage:
  case DriverResult::InvalidPtx:
    return StatusCode::DataLoss;
  case DriverResult::NoBinaryForGpu:
  case DriverResult::UnsupportedPtxVersion:
  case DriverResult::SystemDriverMismatch:
    return StatusCode::FailedPrecondition;
  case DriverResult::NotSupported:
    return StatusCode::Unsupported;
  default:
    return StatusCode::Internal;
  }
}

Status Driver::check(DriverResult result, const std::string &what) const {
  if (result == DriverResult::Success)
    return Status::success();
  const char *name = nullptr, *description = nullptr;
  std::string text = what + ": ";
  if (getErrorName(result, &name) == DriverResult::Success && name)
    text += name;
  else
    text += "CUDA error " + std::to_string(static_cast<int>(result));
  if (getErrorString(result, &description) == DriverResult::Success &&
      description)
    text += " (" + std::string(description) + ")";
  return Status(statusCode(result), std::move(text));
}

} // namespace odyssey::runtime::cuda
