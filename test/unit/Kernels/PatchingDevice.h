//===- PatchingDevice.h - A device that gets other code ---------*- C++ -*-===//
//
// Stands before another device and gives it changed PTX of one kernel's module,
// so that a test can plant a fault in a compiled bundle.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TEST_UNIT_KERNELS_PATCHINGDEVICE_H
#define ODYSSEY_TEST_UNIT_KERNELS_PATCHINGDEVICE_H

#include "odyssey/runtime/Device.h"

#include <memory>
#include <string>

namespace odyssey::testing {

class PatchingDevice : public runtime::Device {
public:
  /// The module that has the entry `kernel` gets `ptx` instead of its own.
  PatchingDevice(std::unique_ptr<runtime::Device> device, std::string kernel,
                 std::string ptx)
      : device(std::move(device)), entry(".entry " + std::move(kernel) + "("),
        ptx(std::move(ptx)) {}

  runtime::Result<runtime::ModuleHandle>
  loadModule(const runtime::ModuleImage &image) override {
    runtime::ModuleImage patched = image;
    if (image.ptx.find(entry) != std::string_view::npos)
      patched.ptx = ptx;
    return device->loadModule(patched);
  }

  const runtime::DeviceProperties &properties() const override {
    return device->properties();
  }
  runtime::Result<runtime::DeviceAddress>
  allocate(size_t bytes, std::string_view label) override {
    return device->allocate(bytes, label);
  }
  runtime::Result<runtime::DeviceAddress>
  importReadOnly(const void *host, size_t bytes,
                 std::string_view label) override {
    return device->importReadOnly(host, bytes, label);
  }
  runtime::Status free(runtime::DeviceAddress address) override {
    return device->free(address);
  }
  runtime::Status copyToDevice(runtime::DeviceAddress destination,
                               const void *source, size_t bytes) override {
    return device->copyToDevice(destination, source, bytes);
  }
  runtime::Status copyToHost(void *destination, runtime::DeviceAddress source,
                             size_t bytes) override {
    return device->copyToHost(destination, source, bytes);
  }
  runtime::Status fill(runtime::DeviceAddress destination, uint8_t value,
                       size_t bytes) override {
    return device->fill(destination, value, bytes);
  }
  runtime::Status unloadModule(runtime::ModuleHandle module) override {
    return device->unloadModule(module);
  }
  runtime::Result<runtime::KernelHandle>
  getKernel(runtime::ModuleHandle module, const std::string &name) override {
    return device->getKernel(module, name);
  }
  runtime::Status launch(const runtime::LaunchRequest &request) override {
    return device->launch(request);
  }
  runtime::Status synchronize() override { return device->synchronize(); }
  runtime::Status beginRecording() override { return device->beginRecording(); }
  runtime::Result<runtime::GraphHandle> endRecording() override {
    return device->endRecording();
  }
  runtime::Status replay(runtime::GraphHandle graph) override {
    return device->replay(graph);
  }
  runtime::Status destroyGraph(runtime::GraphHandle graph) override {
    return device->destroyGraph(graph);
  }
  runtime::Result<double> timestamp() override { return device->timestamp(); }

private:
  std::unique_ptr<runtime::Device> device;
  std::string entry, ptx;
};

} // namespace odyssey::testing

#endif // ODYSSEY_TEST_UNIT_KERNELS_PATCHINGDEVICE_H
