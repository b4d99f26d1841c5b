//===- FakeDevice.h - A device whose kernels are C++ functions --*- C++ -*-===//
//
// Stands in for a GPU in tests of what runs on top of a device: memory is host
// memory, a kernel is a function that the test registers under the name of an
// entry point. It notes what it is asked to do and fails when told to.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TEST_UNIT_SESSION_FAKEDEVICE_H
#define ODYSSEY_TEST_UNIT_SESSION_FAKEDEVICE_H

#include "odyssey/runtime/Device.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace odyssey::runtime::testing {

/// A launch, with the arguments copied.
struct FakeLaunch {
  std::string kernel;
  Dim3 grid, block, cluster;
  uint32_t sharedBytes = 0;
  bool programmaticDependentLaunch = false;
  std::vector<KernelArgument> arguments;

  /// The argument as a pointer to T: device addresses are host addresses here.
  template <typename T> T *pointer(size_t index) const {
    return reinterpret_cast<T *>(arguments.at(index).bits);
  }
  int32_t i32(size_t index) const {
    return static_cast<int32_t>(arguments.at(index).bits);
  }
};

class FakeDevice : public Device {
public:
  using Kernel = std::function<void(const FakeLaunch &)>;

  FakeDevice() {
    facts.kind = "fake";
    facts.name = "fake device";
  }

  /// What a module may ask for. Kernels are found by name, whatever the module.
  std::map<std::string, Kernel> kernels;
  /// All launches that ran, replayed ones included.
  std::vector<FakeLaunch> launches;
  /// Calls of the other functions, for example "loadModule kernels".
  std::vector<std::string> calls;
  size_t replays = 0;
  /// Makes the call of this name that comes after `failAfter` others fail.
  std::string failAt;
  size_t failAfter = 0;
  StatusCode failCode = StatusCode::ResourceExhausted;
  /// Makes recording Unsupported.
  bool cannotRecord = false;

  DeviceProperties facts;

  size_t liveBuffers() const { return buffers.size(); }
  size_t liveGraphs() const { return graphs.size(); }
  size_t liveModules() const { return modules.size(); }

  const DeviceProperties &properties() const override { return facts; }
  Result<DeviceAddress> allocate(size_t bytes, std::string_view label) override;
  Status free(DeviceAddress address) override;
  Status copyToDevice(DeviceAddress destination, const void *source,
                      size_t bytes) override;
  Status copyToHost(void *destination, DeviceAddress source,
                    size_t bytes) override;
  Status fill(DeviceAddress destination, uint8_t value, size_t bytes) override;
  Result<ModuleHandle> loadModule(const ModuleImage &image) override;
  Status unloadModule(ModuleHandle module) override;
  Result<KernelHandle> getKernel(ModuleHandle module,
                                 const std::string &name) override;
  Status launch(const LaunchRequest &request) override;
  Status synchronize() override;
  Status beginRecording() override;
  Result<GraphHandle> endRecording() override;
  Status replay(GraphHandle graph) override;
  Status destroyGraph(GraphHandle graph) override;
  Result<double> timestamp() override;

private:
  Status note(const std::string &function, std::string_view detail);
  Status checkRange(DeviceAddress address, size_t bytes) const;
  void execute(const FakeLaunch &launch);

  struct Buffer {
    std::unique_ptr<std::byte[]> storage;
    size_t bytes;
  };
  /// By its (aligned) address.
  std::map<DeviceAddress, Buffer> buffers;
  std::vector<std::string> names;
  std::map<uint64_t, std::string> modules;
  std::map<uint64_t, std::vector<FakeLaunch>> graphs;
  std::vector<FakeLaunch> recorded;
  bool recording = false;
  uint64_t nextHandle = 1;
  double clock = 0;
};

} // namespace odyssey::runtime::testing

#endif // ODYSSEY_TEST_UNIT_SESSION_FAKEDEVICE_H
