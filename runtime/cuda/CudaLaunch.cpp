//===- CudaLaunch.cpp - Modules, kernels and launches on an NVIDIA GPU ----===//

#include "CudaDevice.h"

#include <algorithm>

namespace odyssey::runtime::cuda {

namespace {

constexpr size_t kErrorLogBytes = 8192;
/// What a kernel may use without having asked for more.
constexpr uint32_t kDefaultSharedBytes = 48 * 1024;
/// CTAs of a cluster that every GPU with clusters can run.
constexpr uint64_t kPortableClusterSize = 8;
constexpr uint32_t kMaxGridYZ = 65535;
constexpr uint32_t kMaxGridX = 0x7fffffff;

uint64_t volume(const Dim3 &size) { return uint64_t(size.x) * size.y * size.z; }

std::string text(const Dim3 &size) {
  return std::to_string(size.x) + " x " + std::to_string(size.y) + " x " +
         std::to_string(size.z);
}

/// A cubin runs on GPUs of its own major version with the same or a higher
/// minor one.
bool runsCubin(int gpuCapability, int cubinCapability) {
  return gpuCapability / 10 == cubinCapability / 10 &&
         gpuCapability % 10 >= cubinCapability % 10;
}

} // namespace

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

Result<Module> CudaDevice::loadImage(const std::string &name,
                                     const void *image) {
  std::string log(kErrorLogBytes, '\0');
  JitOption options[] = {JitOption::ErrorLogBuffer,
                         JitOption::ErrorLogBufferBytes};
  // The driver takes numbers in the place of pointers, and writes the length
  // of the log over its size.
  void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
  Module module = nullptr;
  Status status =
      check(driver->moduleLoadDataEx(&module, image, std::size(options),
                                     options, values),
            "cannot load module '" + name + "'");
  if (status.ok())
    return module;
  log.resize(log.find('\0') == std::string::npos ? log.size() : log.find('\0'));
  if (log.empty())
    return status;
  return Status(status.code(), status.message() + "\n" + log);
}

Result<ModuleHandle> CudaDevice::loadModule(const ModuleImage &image) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("loading a module"));
  Module module = nullptr;
  if (!image.cubin.empty() &&
      runsCubin(facts.computeCapability, image.cubinCapability)) {
    ODYSSEY_ASSIGN_OR_RETURN(module, loadImage(image.name, image.cubin.data()));
  } else if (!image.ptx.empty()) {
    // The driver wants a terminating zero.
    std::string ptx(image.ptx);
    ODYSSEY_ASSIGN_OR_RETURN(module, loadImage(image.name, ptx.c_str()));
  } else {
    return failedPrecondition("module '" + image.name +
                              "' has no code for sm_" +
                              std::to_string(facts.computeCapability));
  }
  ModuleHandle handle{nextHandle++};
  modules[handle] = module;
  return handle;
}

Status CudaDevice::unloadModule(ModuleHandle handle) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("unloading a module"));
  auto found = modules.find(handle);
  if (found == modules.end())
    return notFound("there is no such module");
  // Its kernels may still run.
  ODYSSEY_RETURN_IF_ERROR(synchronize());
  Module module = found->second;
  modules.erase(found);
  for (Kernel &kernel : kernels)
    if (kernel.module == handle)
      kernel.function = nullptr;
  return check(driver->moduleUnload(module), "cannot unload a module");
}

Result<KernelHandle> CudaDevice::getKernel(ModuleHandle handle,
                                           const std::string &name) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  auto found = modules.find(handle);
  if (found == modules.end())
    return notFound("there is no such module");
  const std::string what = "kernel '" + name + "'";
  Kernel kernel;
  kernel.name = name;
  kernel.module = handle;
  ODYSSEY_RETURN_IF_ERROR(check(
      driver->moduleGetFunction(&kernel.function, found->second, name.c_str()),
      what));
  // Asking for its attributes also makes the driver load the kernel now; it
  // would else do so at the first launch, which may be a recorded one.
  int threads = 0, shared = 0;
  ODYSSEY_RETURN_IF_ERROR(check(
      driver->functionGetAttribute(
          &threads, FunctionAttribute::MaxThreadsPerBlock, kernel.function),
      what));
  ODYSSEY_RETURN_IF_ERROR(
      check(driver->functionGetAttribute(
                &shared, FunctionAttribute::StaticSharedBytes, kernel.function),
            what));
  kernel.maxThreadsPerBlock = static_cast<uint32_t>(threads);
  kernel.staticSharedBytes = static_cast<uint32_t>(shared);
  kernel.allowedDynamicSharedBytes =
      kDefaultSharedBytes -
      std::min(kDefaultSharedBytes, kernel.staticSharedBytes);
  readParameters(kernel);
  kernels.push_back(std::move(kernel));
  return KernelHandle(kernels.size());
}

void CudaDevice::readParameters(Kernel &kernel) const {
  if (!driver->functionGetParamInfo)
    return;
  size_t offset = 0, bytes = 0;
  // The driver says InvalidValue for the index behind the last one.
  while (driver->functionGetParamInfo(kernel.function,
                                      kernel.parameterBytes.size(), &offset,
                                      &bytes) == DriverResult::Success)
    kernel.parameterBytes.push_back(bytes);
  kernel.knowsParameters = true;
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

Status CudaDevice::checkLaunch(const Kernel &kernel,
                               const LaunchRequest &request) const {
  auto refuse = [&](const std::string &why) {
    return invalidArgument("kernel '" + kernel.name + "': " + why);
  };
  const Dim3 &grid = request.grid, &block = request.block,
             &cluster = request.cluster;
  if (volume(grid) == 0 || grid.x > kMaxGridX || grid.y > kMaxGridYZ ||
      grid.z > kMaxGridYZ)
    return refuse("a grid of " + text(grid) + " CTAs is not possible");
  if (volume(block) == 0 || volume(block) > kernel.maxThreadsPerBlock)
    return refuse("a block of " + text(block) + " threads is not possible, " +
                  std::to_string(kernel.maxThreadsPerBlock) + " are");
  if (volume(cluster) == 0 || grid.x % cluster.x != 0 ||
      grid.y % cluster.y != 0 || grid.z % cluster.z != 0)
    return refuse("a grid of " + text(grid) +
                  " CTAs does not divide into clusters of " + text(cluster));
  if (request.sharedBytes + uint64_t(kernel.staticSharedBytes) >
      facts.maxSharedBytesPerBlock)
    return refuse(std::to_string(request.sharedBytes +
                                 uint64_t(kernel.staticSharedBytes)) +
                  " bytes of shared memory are more than the device's " +
                  std::to_string(facts.maxSharedBytesPerBlock));
  for (const KernelArgument &argument : request.arguments)
    if (argument.size != 4 && argument.size != 8)
      return refuse("an argument of " + std::to_string(argument.size) +
                    " bytes is not possible");
  if (!kernel.knowsParameters)
    return Status::success();
  if (request.arguments.size() != kernel.parameterBytes.size())
    return refuse("expected " + std::to_string(kernel.parameterBytes.size()) +
                  " arguments, got " +
                  std::to_string(request.arguments.size()));
  for (size_t i = 0; i < request.arguments.size(); ++i)
    if (request.arguments[i].size != kernel.parameterBytes[i])
      return refuse("parameter " + std::to_string(i) + " has " +
                    std::to_string(kernel.parameterBytes[i]) +
                    " bytes, its argument " +
                    std::to_string(request.arguments[i].size));
  return Status::success();
}

/// Tells the driver about a kernel that uses more than kernels usually may.
Status CudaDevice::allowResources(Kernel &kernel,
                                  const LaunchRequest &request) {
  const std::string what = "kernel '" + kernel.name + "'";
  if (request.sharedBytes > kernel.allowedDynamicSharedBytes) {
    ODYSSEY_RETURN_IF_ERROR(check(
        driver->functionSetAttribute(kernel.function,
                                     FunctionAttribute::MaxDynamicSharedBytes,
                                     static_cast<int>(request.sharedBytes)),
        what));
    kernel.allowedDynamicSharedBytes = request.sharedBytes;
  }
  if (volume(request.cluster) > kPortableClusterSize &&
      !kernel.allowsNonPortableCluster) {
    ODYSSEY_RETURN_IF_ERROR(
        check(driver->functionSetAttribute(
                  kernel.function,
                  FunctionAttribute::NonPortableClusterSizeAllowed, 1),
              what));
    kernel.allowsNonPortableCluster = true;
  }
  return Status::success();
}

Status CudaDevice::launch(const LaunchRequest &request) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  size_t index = static_cast<size_t>(request.kernel) - 1;
  if (index >= kernels.size() || !kernels[index].function)
    return invalidArgument("there is no such kernel");
  Kernel &kernel = kernels[index];
  ODYSSEY_RETURN_IF_ERROR(checkLaunch(kernel, request));
  ODYSSEY_RETURN_IF_ERROR(allowResources(kernel, request));

  LaunchAttribute attributes[2];
  unsigned count = 0;
  if (volume(request.cluster) > 1) {
    LaunchAttribute &attribute = attributes[count++];
    attribute.id = LaunchAttributeId::ClusterDimension;
    attribute.value.clusterDimension[0] = request.cluster.x;
    attribute.value.clusterDimension[1] = request.cluster.y;
    attribute.value.clusterDimension[2] = request.cluster.z;
  }
  if (request.programmaticDependentLaunch) {
    LaunchAttribute &attribute = attributes[count++];
    attribute.id = LaunchAttributeId::ProgrammaticStreamSerialization;
    attribute.value.programmaticStreamSerializationAllowed = 1;
  }

  LaunchConfig config = {};
  config.gridX = request.grid.x;
  config.gridY = request.grid.y;
  config.gridZ = request.grid.z;
  config.blockX = request.block.x;
  config.blockY = request.block.y;
  config.blockZ = request.block.z;
  config.sharedBytes = request.sharedBytes;
  config.stream = stream;
  config.attributes = attributes;
  config.attributeCount = count;

  // The driver reads as many bytes behind each pointer as the parameter has;
  // the bits are little-endian, so that the low ones come first.
  std::vector<void *> parameters;
  parameters.reserve(request.arguments.size());
  for (const KernelArgument &argument : request.arguments)
    parameters.push_back(const_cast<uint64_t *>(&argument.bits));
  return check(driver->launchKernelEx(&config, kernel.function,
                                      parameters.data(), /*extra=*/nullptr),
               "cannot launch kernel '" + kernel.name + "'");
}

} // namespace odyssey::runtime::cuda
