//===- CudaDevice.cpp - An NVIDIA GPU as a device -------------------------===//
//
// Memory, copies, time and graphs. Modules and launches are in CudaLaunch.cpp.
//
//===----------------------------------------------------------------------===//

#include "CudaDevice.h"

#include "odyssey/runtime/Cuda.h"

#include <algorithm>
#include <cstring>

namespace odyssey::runtime::cuda {

namespace {
constexpr size_t kStagingBytes = size_t(1) << 20;
/// Larger copies go directly, and wait.
constexpr size_t kMaxStagedCopy = size_t(1) << 16;
constexpr size_t kStagingAlignment = 64;
} // namespace

Result<DeviceProperties> queryProperties(const Driver &driver,
                                         DeviceOrdinal ordinal) {
  DeviceProperties facts;
  facts.kind = "cuda";
  const std::string what = "cannot query GPU " + std::to_string(ordinal);
  auto attribute = [&](DeviceAttribute which, int &value) {
    return driver.check(driver.deviceGetAttribute(&value, which, ordinal),
                        what);
  };
  char name[256] = "";
  ODYSSEY_RETURN_IF_ERROR(driver.check(
      driver.deviceGetName(name, sizeof(name) - 1, ordinal), what));
  facts.name = name;
  int major = 0, minor = 0, shared = 0;
  ODYSSEY_RETURN_IF_ERROR(
      attribute(DeviceAttribute::ComputeCapabilityMajor, major));
  ODYSSEY_RETURN_IF_ERROR(
      attribute(DeviceAttribute::ComputeCapabilityMinor, minor));
  ODYSSEY_RETURN_IF_ERROR(
      attribute(DeviceAttribute::MultiprocessorCount, facts.multiprocessors));
  ODYSSEY_RETURN_IF_ERROR(
      attribute(DeviceAttribute::MaxSharedMemoryPerBlockOptin, shared));
  facts.computeCapability = major * 10 + minor;
  facts.maxSharedBytesPerBlock = static_cast<size_t>(shared);
  // What a driver may not tell stays 0.
  auto optional = [&](DeviceAttribute which) {
    int value = 0;
    return attribute(which, value).ok() ? value : 0;
  };
  int cache = optional(DeviceAttribute::L2CacheBytes),
      clock = optional(DeviceAttribute::ClockRateKilohertz),
      memoryClock = optional(DeviceAttribute::MemoryClockRateKilohertz),
      busBits = optional(DeviceAttribute::MemoryBusWidthBits);
  facts.cacheBytes = static_cast<size_t>(cache);
  facts.clockHertz = clock * 1e3;
  // Two transfers a cycle.
  facts.memoryBytesPerSecond = 2 * memoryClock * 1e3 * busBits / 8;
  ODYSSEY_RETURN_IF_ERROR(driver.check(
      driver.deviceTotalMem(&facts.totalMemoryBytes, ordinal), what));
  return facts;
}

Result<std::unique_ptr<Device>>
CudaDevice::create(std::shared_ptr<const Driver> driver,
                   DeviceOrdinal ordinal) {
  std::unique_ptr<CudaDevice> device(
      new CudaDevice(std::move(driver), ordinal));
  Status opened = device->open();
  // CUDA's documentation of CUDA_ERROR_ILLEGAL_ADDRESS and its like.
  if (opened.code() == StatusCode::DeviceFault)
    return Status(opened.code(), opened.message() +
                                     ": after a fault, only a new process can "
                                     "use the GPU");
  ODYSSEY_RETURN_IF_ERROR(opened);
  return std::unique_ptr<Device>(std::move(device));
}

Status CudaDevice::open() {
  ODYSSEY_ASSIGN_OR_RETURN(facts, queryProperties(*driver, ordinal));
  const std::string what = "cannot open " + facts.name;
  ODYSSEY_RETURN_IF_ERROR(
      check(driver->primaryContextRetain(&context, ordinal), what));
  retained = true;
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(
      check(driver->streamCreate(&stream, kStreamNonBlocking), what));
  for (Event &event : events)
    ODYSSEY_RETURN_IF_ERROR(
        check(driver->eventCreate(&event, kEventDefault), what));
  ODYSSEY_RETURN_IF_ERROR(
      check(driver->eventRecord(events[lastEvent], stream), what));
  void *memory = nullptr;
  ODYSSEY_RETURN_IF_ERROR(
      check(driver->memHostAlloc(&memory, kStagingBytes, 0), what));
  staging = static_cast<std::byte *>(memory);
  return Status::success();
}

CudaDevice::~CudaDevice() {
  if (!retained)
    return;
  // After a fault all of these fail, and the context's end frees everything.
  driver->contextSetCurrent(context);
  if (stream)
    driver->streamSynchronize(stream);
  for (auto &[handle, graph] : graphs)
    driver->graphExecDestroy(graph);
  for (auto &[handle, module] : modules)
    driver->moduleUnload(module);
  for (auto &[address, allocation] : allocations)
    driver->memFree(address);
  if (staging)
    driver->memFreeHost(staging);
  for (Event event : events)
    if (event)
      driver->eventDestroy(event);
  if (stream)
    driver->streamDestroy(stream);
  driver->contextSetCurrent(nullptr);
  driver->primaryContextRelease(ordinal);
}

Status CudaDevice::enter() {
  if (!fault.ok())
    return fault.withContext("the device cannot be used after a fault");
  return check(driver->contextSetCurrent(context),
               "cannot use the GPU in this thread");
}

Status CudaDevice::refuseWhileRecording(const char *what) const {
  if (!recording)
    return Status::success();
  return failedPrecondition(std::string(what) +
                            " is not possible while launches are recorded");
}

Status CudaDevice::check(DriverResult result, const std::string &what) {
  Status status = driver->check(result, what);
  if (isFault(result))
    fault = status;
  return status;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Result<DeviceAddress> CudaDevice::allocate(size_t bytes,
                                           std::string_view label) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("allocating memory"));
  if (bytes == 0)
    return invalidArgument("allocation of 0 bytes for " + std::string(label));
  DevicePointer address = 0;
  // The driver aligns to at least 256 bytes.
  ODYSSEY_RETURN_IF_ERROR(check(driver->memAlloc(&address, bytes),
                                "cannot allocate " + std::to_string(bytes) +
                                    " bytes for " + std::string(label)));
  allocations[address] = {bytes, std::string(label)};
  return DeviceAddress(address);
}

Status CudaDevice::free(DeviceAddress address) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("freeing memory"));
  auto found = allocations.find(address);
  if (found == allocations.end())
    return invalidArgument("an address to free was not allocated");
  std::string what = "cannot free " + found->second.label;
  allocations.erase(found);
  return check(driver->memFree(address), what);
}

Status CudaDevice::checkRange(DeviceAddress address, size_t bytes,
                              const char *what) const {
  auto next = allocations.upper_bound(address);
  if (next != allocations.begin()) {
    auto &[start, allocation] = *std::prev(next);
    uint64_t offset = address - start;
    if (offset <= allocation.bytes && bytes <= allocation.bytes - offset)
      return Status::success();
  }
  return invalidArgument(std::string(what) + " of " + std::to_string(bytes) +
                         " bytes is not inside of an allocation");
}

Status CudaDevice::copyToDevice(DeviceAddress destination, const void *source,
                                size_t bytes) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("a copy"));
  ODYSSEY_RETURN_IF_ERROR(checkRange(destination, bytes, "a copy"));
  if (bytes == 0)
    return Status::success();
  if (bytes > kMaxStagedCopy) {
    ODYSSEY_RETURN_IF_ERROR(
        check(driver->memcpyHtoDAsync(destination, source, bytes, stream),
              "copy to the device"));
    // The caller may change the source as soon as this returns.
    return synchronize();
  }
  if (stagingUsed + bytes > kStagingBytes)
    ODYSSEY_RETURN_IF_ERROR(synchronize());
  std::byte *slot = staging + stagingUsed;
  memcpy(slot, source, bytes);
  stagingUsed +=
      (bytes + kStagingAlignment - 1) / kStagingAlignment * kStagingAlignment;
  return check(driver->memcpyHtoDAsync(destination, slot, bytes, stream),
               "copy to the device");
}

Status CudaDevice::copyToHost(void *destination, DeviceAddress source,
                              size_t bytes) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("a copy"));
  ODYSSEY_RETURN_IF_ERROR(checkRange(source, bytes, "a copy"));
  if (bytes != 0)
    ODYSSEY_RETURN_IF_ERROR(
        check(driver->memcpyDtoHAsync(destination, source, bytes, stream),
              "copy to the host"));
  return synchronize();
}

Status CudaDevice::fill(DeviceAddress destination, uint8_t value,
                        size_t bytes) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("a fill"));
  ODYSSEY_RETURN_IF_ERROR(checkRange(destination, bytes, "a fill"));
  if (bytes == 0)
    return Status::success();
  return check(driver->memsetD8Async(destination, value, bytes, stream),
               "fill");
}

//===----------------------------------------------------------------------===//
// Order and time
//===----------------------------------------------------------------------===//

Status CudaDevice::synchronize() {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("waiting"));
  ODYSSEY_RETURN_IF_ERROR(
      check(driver->streamSynchronize(stream), "waiting for the GPU"));
  stagingUsed = 0;
  return Status::success();
}

Result<double> CudaDevice::timestamp() {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("a time stamp"));
  const std::string what = "time stamp";
  Event previous = events[lastEvent], current = events[1 - lastEvent];
  float milliseconds = 0;
  ODYSSEY_RETURN_IF_ERROR(check(driver->eventRecord(current, stream), what));
  ODYSSEY_RETURN_IF_ERROR(check(driver->eventSynchronize(current), what));
  ODYSSEY_RETURN_IF_ERROR(
      check(driver->eventElapsedTime(&milliseconds, previous, current), what));
  lastEvent = 1 - lastEvent;
  lastTimestamp += static_cast<double>(milliseconds) * 1e-3;
  return lastTimestamp;
}

Result<std::vector<double>> CudaDevice::timeReplays(GraphHandle graph,
                                                    int count) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("timing a graph"));
  const std::string what = "timing a graph";
  std::vector<Event> marks(static_cast<size_t>(std::max(count, 0)) + 1);
  auto measure = [&]() -> Result<std::vector<double>> {
    for (Event &mark : marks)
      ODYSSEY_RETURN_IF_ERROR(
          check(driver->eventCreate(&mark, kEventDefault), what));
    for (Event mark : marks) {
      ODYSSEY_RETURN_IF_ERROR(replay(graph));
      ODYSSEY_RETURN_IF_ERROR(check(driver->eventRecord(mark, stream), what));
    }
    ODYSSEY_RETURN_IF_ERROR(synchronize());
    std::vector<double> seconds;
    for (size_t i = 1; i < marks.size(); ++i) {
      float milliseconds = 0;
      ODYSSEY_RETURN_IF_ERROR(
          check(driver->eventElapsedTime(&milliseconds, marks[i - 1], marks[i]),
                what));
      seconds.push_back(static_cast<double>(milliseconds) * 1e-3);
    }
    return seconds;
  };
  Result<std::vector<double>> seconds = measure();
  for (Event mark : marks)
    if (mark)
      driver->eventDestroy(mark);
  return seconds;
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

Status CudaDevice::beginRecording() {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("recording"));
  ODYSSEY_RETURN_IF_ERROR(
      check(driver->streamBeginCapture(stream, CaptureMode::ThreadLocal),
            "cannot record launches"));
  recording = true;
  return Status::success();
}

Result<GraphHandle> CudaDevice::endRecording() {
  ODYSSEY_RETURN_IF_ERROR(enter());
  if (!recording)
    return failedPrecondition("no recording has begun");
  recording = false;
  const std::string what = "cannot record launches";
  Graph graph = nullptr;
  ODYSSEY_RETURN_IF_ERROR(
      check(driver->streamEndCapture(stream, &graph), what));
  GraphExec executable = nullptr;
  Status instantiated =
      check(driver->graphInstantiate(&executable, graph, /*flags=*/0), what);
  ODYSSEY_RETURN_IF_ERROR(check(driver->graphDestroy(graph), what));
  ODYSSEY_RETURN_IF_ERROR(instantiated);
  GraphHandle handle{nextHandle++};
  graphs[handle] = executable;
  return handle;
}

Status CudaDevice::replay(GraphHandle graph) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("replaying a graph"));
  auto found = graphs.find(graph);
  if (found == graphs.end())
    return notFound("there is no such graph");
  return check(driver->graphLaunch(found->second, stream),
               "cannot replay a graph");
}

Status CudaDevice::destroyGraph(GraphHandle graph) {
  ODYSSEY_RETURN_IF_ERROR(enter());
  ODYSSEY_RETURN_IF_ERROR(refuseWhileRecording("destroying a graph"));
  auto found = graphs.find(graph);
  if (found == graphs.end())
    return notFound("there is no such graph");
  GraphExec executable = found->second;
  graphs.erase(found);
  return check(driver->graphExecDestroy(executable), "cannot destroy a graph");
}

} // namespace odyssey::runtime::cuda

namespace odyssey::runtime {

using cuda::Driver;

/// Loads the driver and counts its GPUs.
static Result<std::shared_ptr<const Driver>>
openDriver(const CudaOptions &options, int &count) {
  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<const Driver> driver,
                           Driver::load(options.library));
  ODYSSEY_RETURN_IF_ERROR(
      driver->check(driver->deviceGetCount(&count), "cannot count the GPUs"));
  if (count == 0)
    return notFound("the NVIDIA driver reports no GPU");
  return driver;
}

Result<std::unique_ptr<Device>> createCudaDevice(const CudaOptions &options) {
  int count = 0;
  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<const Driver> driver,
                           openDriver(options, count));
  if (options.ordinal < 0 || options.ordinal >= count)
    return notFound("there is no GPU " + std::to_string(options.ordinal) +
                    ", the NVIDIA driver reports " + std::to_string(count));
  cuda::DeviceOrdinal ordinal = 0;
  ODYSSEY_RETURN_IF_ERROR(
      driver->check(driver->deviceGet(&ordinal, options.ordinal),
                    "cannot open GPU " + std::to_string(options.ordinal)));
  return cuda::CudaDevice::create(std::move(driver), ordinal);
}

void *cudaStream(Device &device) {
  auto *cuda = dynamic_cast<cuda::CudaDevice *>(&device);
  return cuda ? cuda->nativeStream() : nullptr;
}

Result<std::vector<DeviceProperties>>
listCudaDevices(const CudaOptions &options) {
  int count = 0;
  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<const Driver> driver,
                           openDriver(options, count));
  std::vector<DeviceProperties> result;
  for (int i = 0; i < count; ++i) {
    cuda::DeviceOrdinal ordinal = 0;
    ODYSSEY_RETURN_IF_ERROR(
        driver->check(driver->deviceGet(&ordinal, i), "cannot list the GPUs"));
    ODYSSEY_ASSIGN_OR_RETURN(DeviceProperties facts,
                             cuda::queryProperties(*driver, ordinal));
    result.push_back(std::move(facts));
  }
  return result;
}

} // namespace odyssey::runtime
