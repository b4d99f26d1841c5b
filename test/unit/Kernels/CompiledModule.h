//===- CompiledModule.h - IR text that runs ---------------------*- C++ -*-===//
//
// What tests of kernels share: compiles the text of a module to a bundle, as
// odyssey-compile does, and runs its functions in the emulator with all checks.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TEST_UNIT_KERNELS_COMPILEDMODULE_H
#define ODYSSEY_TEST_UNIT_KERNELS_COMPILEDMODULE_H

#include "odyssey/runtime/Emulator.h"
#include "odyssey/runtime/Executor.h"

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace odyssey::testing {

/// A tensor of the file that `odyssey.weight` reads.
struct WeightTensor {
  std::string name;
  runtime::HostTensor value;
};

/// A host tensor from elements.
template <typename T>
runtime::HostTensor tensor(runtime::ElementType type,
                           std::vector<int64_t> shape,
                           const std::vector<T> &elements) {
  runtime::HostTensor result{type, std::move(shape), {}};
  result.data.resize(elements.size() * sizeof(T));
  if (!elements.empty())
    std::memcpy(result.data.data(), elements.data(), result.data.size());
  return result;
}

/// The elements of a host tensor.
template <typename T> std::vector<T> elements(const runtime::HostTensor &t) {
  std::vector<T> result(t.data.size() / sizeof(T));
  if (!result.empty())
    std::memcpy(result.data(), t.data.data(), t.data.size());
  return result;
}

class CompiledModule {
public:
  /// Compiles; a failure fails the test that calls.
  CompiledModule(const std::string &ir,
                 const std::vector<WeightTensor> &weights,
                 const std::string &target = "sm_80");

  /// Runs `function`; a failure fails the test and returns nothing.
  std::vector<runtime::HostTensor>
  run(const std::string &function,
      const std::vector<runtime::HostTensor> &inputs);

  /// Goes on in a new emulator with these options and all checks.
  void restart(runtime::EmulatorOptions options);
  /// Goes on on that device.
  void restart(std::shared_ptr<runtime::Device> device);

  /// Null where compilation failed.
  const runtime::Bundle *bundle() const { return opened.get(); }

  runtime::Executor &executor() { return *running; }

private:
  void load(const std::string &ir, const std::vector<WeightTensor> &weights,
            const std::string &target);

  std::shared_ptr<const runtime::Bundle> opened;
  std::unique_ptr<runtime::Executor> running;
};

/// fp16 as bits, round to nearest even.
uint16_t toHalf(float value);
float fromHalf(uint16_t bits);

/// Normally distributed fp16 values with a few outliers.
std::vector<uint16_t> randomHalves(std::mt19937 &random, size_t count,
                                   float scale = 1.0f);
/// Weights of 4 bits, all values from -8 to 7, or of 8 bits, from -127 to 127.
std::vector<int8_t> randomWeights(std::mt19937 &random, size_t count,
                                  int64_t bits = 4);
/// Positive scales around 0.01.
std::vector<float> randomScales(std::mt19937 &random, size_t count);

} // namespace odyssey::testing

#endif // ODYSSEY_TEST_UNIT_KERNELS_COMPILEDMODULE_H
