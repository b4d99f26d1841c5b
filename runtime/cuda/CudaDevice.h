//===- CudaDevice.h - An NVIDIA GPU as a device -----------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_CUDA_CUDADEVICE_H
#define ODYSSEY_RUNTIME_CUDA_CUDADEVICE_H

#include "Driver.h"
#include "odyssey/runtime/Device.h"

#include <array>
#include <map>

namespace odyssey::runtime::cuda {

/// What the driver says about a GPU.
Result<DeviceProperties> queryProperties(const Driver &driver,
                                         DeviceOrdinal ordinal);

/// One GPU with one stream, in which everything is ordered.
class CudaDevice final : public Device {
public:
  static Result<std::unique_ptr<Device>>
  create(std::shared_ptr<const Driver> driver, DeviceOrdinal ordinal);
  ~CudaDevice() override;

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
  Result<std::vector<double>> timeReplays(GraphHandle graph,
                                          int count) override;

  Stream nativeStream() const { return stream; }

private:
  struct Allocation {
    size_t bytes;
    std::string label;
  };
  struct Kernel {
    std::string name;
    Function function;
    ModuleHandle module;
    uint32_t maxThreadsPerBlock;
    uint32_t staticSharedBytes;
    /// What the driver has been told to allow so far.
    uint32_t allowedDynamicSharedBytes;
    bool allowsNonPortableCluster = false;
    /// Sizes of the parameters, where the driver can tell them.
    bool knowsParameters = false;
    std::vector<size_t> parameterBytes;
  };

  CudaDevice(std::shared_ptr<const Driver> driver, DeviceOrdinal ordinal)
      : driver(std::move(driver)), ordinal(ordinal) {}

  Status open();
  /// To be called first by every function: makes the context current in this
  /// thread, and refuses to go on after a fault.
  Status enter();
  Status refuseWhileRecording(const char *what) const;
  /// Like Driver::check, and remembers faults.
  Status check(DriverResult result, const std::string &what);
  Status checkRange(DeviceAddress address, size_t bytes,
                    const char *what) const;
  Result<Module> loadImage(const std::string &name, const void *image);
  void readParameters(Kernel &kernel) const;
  Status checkLaunch(const Kernel &kernel, const LaunchRequest &request) const;
  Status allowResources(Kernel &kernel, const LaunchRequest &request);

  std::shared_ptr<const Driver> driver;
  DeviceOrdinal ordinal;
  DeviceProperties facts;
  bool retained = false;
  Context context = nullptr;
  Stream stream = nullptr;

  /// The last `timestamp`: its event, and the seconds from the first one. Times
  /// are added up step by step, since the driver measures in 32-bit floats.
  std::array<Event, 2> events = {};
  size_t lastEvent = 0;
  double lastTimestamp = 0;

  /// Page-locked memory from which small copies to the device are made, so that
  /// they need not wait. Used from front to back; `stagingUsed` bytes may still
  /// be read by the GPU.
  std::byte *staging = nullptr;
  size_t stagingUsed = 0;

  std::map<DeviceAddress, Allocation> allocations;
  std::map<ModuleHandle, Module> modules;
  std::vector<Kernel> kernels;
  std::map<GraphHandle, GraphExec> graphs;
  uint64_t nextHandle = 1;
  bool recording = false;
  Status fault;
};

} // namespace odyssey::runtime::cuda

#endif // ODYSSEY_RUNTIME_CUDA_CUDADEVICE_H
