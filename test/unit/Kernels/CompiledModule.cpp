//===- CompiledModule.cpp - IR text that runs -----------------------------===//

#include "CompiledModule.h"

#include "odyssey/Compiler/Compilation.h"
#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/Safetensors.h"

#include "gtest/gtest.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace odyssey;
using namespace odyssey::testing;
namespace fs = std::filesystem;

namespace {

/// A folder that goes with its object.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern =
        (fs::temp_directory_path() / "odyssey-test-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { fs::remove_all(path); }
  std::string file(const std::string &name) const { return path / name; }

private:
  fs::path path;
};

StorageType storageType(runtime::ElementType type) {
  switch (type) {
  case runtime::ElementType::I8:
    return StorageType::I8;
  case runtime::ElementType::U8:
    return StorageType::U8;
  case runtime::ElementType::I32:
    return StorageType::I32;
  case runtime::ElementType::F16:
    return StorageType::F16;
  case runtime::ElementType::BF16:
    return StorageType::BF16;
  case runtime::ElementType::F32:
    return StorageType::F32;
  }
  return StorageType::U8;
}

llvm::Error writeWeights(const std::string &path,
                         const std::vector<WeightTensor> &weights) {
  std::vector<SafetensorsSpec> specs;
  for (const WeightTensor &weight : weights)
    specs.push_back(
        {weight.name, storageType(weight.value.type), weight.value.shape});
  auto writer = SafetensorsWriter::create(path, specs);
  if (!writer)
    return writer.takeError();
  for (const WeightTensor &weight : weights)
    if (llvm::Error error = (*writer)->write(
            weight.name, 0,
            llvm::ArrayRef<uint8_t>(
                reinterpret_cast<const uint8_t *>(weight.value.data.data()),
                weight.value.data.size())))
      return error;
  return (*writer)->finish();
}

} // namespace

CompiledModule::CompiledModule(const std::string &ir,
                               const std::vector<WeightTensor> &weights,
                               const std::string &target) {
  load(ir, weights, target);
}

void CompiledModule::load(const std::string &ir,
                          const std::vector<WeightTensor> &weights,
                          const std::string &target) {
  TemporaryFolder folder;
  compiler::Options options;
  options.input = folder.file("module.mlir");
  options.output = folder.file("module.odyssey");
  options.target = target;
  options.quiet = true;
  options.assemble = false;
  options.weights = folder.file("weights.safetensors");
  std::ofstream(options.input) << ir;
  if (llvm::Error error = writeWeights(options.weights, weights))
    FAIL() << llvm::toString(std::move(error));
  auto summary = compiler::run(options);
  if (!summary)
    FAIL() << llvm::toString(summary.takeError());
  auto file = runtime::Bundle::open(options.output);
  ASSERT_TRUE(file.ok()) << file.status().message();
  opened = std::move(*file);
  restart(runtime::EmulatorOptions());
}

void CompiledModule::restart(runtime::EmulatorOptions options) {
  options.checkHazards = true;
  auto device = runtime::createEmulator(options);
  ASSERT_TRUE(device.ok()) << device.status().message();
  restart(std::shared_ptr<runtime::Device>(std::move(*device)));
}

void CompiledModule::restart(std::shared_ptr<runtime::Device> device) {
  running.reset();
  if (!opened)
    return;
  auto executor = runtime::Executor::create(opened, std::move(device));
  ASSERT_TRUE(executor.ok()) << executor.status().message();
  running = std::move(*executor);
}

std::vector<runtime::HostTensor>
CompiledModule::run(const std::string &function,
                    const std::vector<runtime::HostTensor> &inputs) {
  if (!running)
    return {};
  auto outputs = running->run(function, inputs);
  if (!outputs.ok()) {
    ADD_FAILURE() << outputs.status().message();
    return {};
  }
  return std::move(*outputs);
}

uint16_t odyssey::testing::toHalf(float value) { return floatToHalf(value); }
float odyssey::testing::fromHalf(uint16_t bits) { return halfToFloat(bits); }

std::vector<uint16_t> odyssey::testing::randomHalves(std::mt19937 &random,
                                                     size_t count,
                                                     float scale) {
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<uint16_t> values(count);
  for (uint16_t &value : values)
    value = toHalf(normal(random) * (random() % 97 == 0 ? 8.0f : 1.0f));
  return values;
}

std::vector<int8_t> odyssey::testing::randomWeights(std::mt19937 &random,
                                                    size_t count,
                                                    int64_t bits) {
  std::vector<int8_t> values(count);
  for (int8_t &value : values)
    value =
        static_cast<int8_t>(bits == 8 ? static_cast<int>(random() % 255) - 127
                                      : static_cast<int>(random() % 16) - 8);
  return values;
}

std::vector<float> odyssey::testing::randomScales(std::mt19937 &random,
                                                  size_t count) {
  std::uniform_real_distribution<float> uniform(0.002f, 0.02f);
  std::vector<float> values(count);
  for (float &value : values)
    value = uniform(random);
  return values;
}
