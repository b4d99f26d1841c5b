//===- FakeDevice.cpp - A device whose kernels are C++ functions ----------===//

#include "FakeDevice.h"

#include <cstring>

namespace odyssey::runtime::testing {

Status FakeDevice::note(const std::string &function, std::string_view detail) {
  calls.push_back(function + " " + std::string(detail));
  if (function == failAt && failAfter-- == 0)
    return Status(failCode, "the test lets " + function + " fail");
  return Status::success();
}

Status FakeDevice::checkRange(DeviceAddress address, size_t bytes) const {
  auto next = buffers.upper_bound(address);
  if (next != buffers.begin()) {
    auto &[start, buffer] = *std::prev(next);
    if (address + bytes <= start + buffer.bytes)
      return Status::success();
  }
  return invalidArgument("a copy outside of every buffer");
}

Result<DeviceAddress> FakeDevice::allocate(size_t bytes,
                                           std::string_view label) {
  ODYSSEY_RETURN_IF_ERROR(note("allocate", label));
  constexpr size_t kAlignment = 256;
  auto storage = std::make_unique<std::byte[]>(bytes + kAlignment);
  auto address = (reinterpret_cast<DeviceAddress>(storage.get()) + kAlignment) &
                 ~DeviceAddress(kAlignment - 1);
  // What nobody wrote should not look like zeros.
  memset(reinterpret_cast<void *>(address), 0xa5, bytes);
  buffers[address] = {std::move(storage), bytes};
  return address;
}

Status FakeDevice::free(DeviceAddress address) {
  if (buffers.erase(address) == 0)
    return invalidArgument("not an allocated address");
  return Status::success();
}

Status FakeDevice::copyToDevice(DeviceAddress destination, const void *source,
                                size_t bytes) {
  ODYSSEY_RETURN_IF_ERROR(note("copyToDevice", std::to_string(bytes)));
  ODYSSEY_RETURN_IF_ERROR(checkRange(destination, bytes));
  memcpy(reinterpret_cast<void *>(destination), source, bytes);
  return Status::success();
}

Status FakeDevice::copyToHost(void *destination, DeviceAddress source,
                              size_t bytes) {
  ODYSSEY_RETURN_IF_ERROR(note("copyToHost", std::to_string(bytes)));
  ODYSSEY_RETURN_IF_ERROR(checkRange(source, bytes));
  memcpy(destination, reinterpret_cast<const void *>(source), bytes);
  return Status::success();
}

Status FakeDevice::fill(DeviceAddress destination, uint8_t value,
                        size_t bytes) {
  ODYSSEY_RETURN_IF_ERROR(note("fill", std::to_string(bytes)));
  ODYSSEY_RETURN_IF_ERROR(checkRange(destination, bytes));
  memset(reinterpret_cast<void *>(destination), value, bytes);
  return Status::success();
}

Result<ModuleHandle> FakeDevice::loadModule(const ModuleImage &image) {
  ODYSSEY_RETURN_IF_ERROR(note("loadModule", image.name));
  modules[nextHandle] = image.name;
  return ModuleHandle(nextHandle++);
}

Status FakeDevice::unloadModule(ModuleHandle module) {
  modules.erase(static_cast<uint64_t>(module));
  return Status::success();
}

Result<KernelHandle> FakeDevice::getKernel(ModuleHandle module,
                                           const std::string &name) {
  if (!kernels.count(name))
    return notFound("no kernel '" + name + "' in module '" +
                    modules.at(static_cast<uint64_t>(module)) + "'");
  names.push_back(name);
  return KernelHandle(names.size());
}

void FakeDevice::execute(const FakeLaunch &launch) {
  launches.push_back(launch);
  kernels.at(launch.kernel)(launch);
  clock += 1;
}

Status FakeDevice::launch(const LaunchRequest &request) {
  FakeLaunch copy;
  copy.kernel = names.at(static_cast<uint64_t>(request.kernel) - 1);
  copy.grid = request.grid;
  copy.block = request.block;
  copy.cluster = request.cluster;
  copy.sharedBytes = request.sharedBytes;
  copy.programmaticDependentLaunch = request.programmaticDependentLaunch;
  copy.arguments.assign(request.arguments.begin(), request.arguments.end());
  ODYSSEY_RETURN_IF_ERROR(note("launch", copy.kernel));
  if (recording)
    recorded.push_back(std::move(copy));
  else
    execute(copy);
  return Status::success();
}

Status FakeDevice::synchronize() { return note("synchronize", ""); }

Status FakeDevice::beginRecording() {
  ODYSSEY_RETURN_IF_ERROR(note("beginRecording", ""));
  if (cannotRecord)
    return unsupported("this device does not record");
  recording = true;
  return Status::success();
}

Result<GraphHandle> FakeDevice::endRecording() {
  recording = false;
  graphs[nextHandle] = std::move(recorded);
  recorded.clear();
  return GraphHandle(nextHandle++);
}

Status FakeDevice::replay(GraphHandle graph) {
  ODYSSEY_RETURN_IF_ERROR(note("replay", ""));
  ++replays;
  for (const FakeLaunch &launch : graphs.at(static_cast<uint64_t>(graph)))
    execute(launch);
  return Status::success();
}

Status FakeDevice::destroyGraph(GraphHandle graph) {
  graphs.erase(static_cast<uint64_t>(graph));
  return Status::success();
}

Result<double> FakeDevice::timestamp() { return clock; }

} // namespace odyssey::runtime::testing
