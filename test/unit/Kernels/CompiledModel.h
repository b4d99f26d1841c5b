//===- CompiledModel.h - A model from checkpoint to session -----*- C++ -*-===//
//
// For tests of whole models: a checkpoint is quantized into a folder that lives
// as long as the test, compiled, and opened on the emulator.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TEST_UNIT_KERNELS_COMPILEDMODEL_H
#define ODYSSEY_TEST_UNIT_KERNELS_COMPILEDMODEL_H

#include "odyssey/Compiler/Compilation.h"
#include "odyssey/runtime/Session.h"

#include <filesystem>
#include <span>

namespace odyssey::testing {

using Tokens = std::vector<int32_t>;
using Logits = std::vector<float>;

/// Where the tests' models and texts are.
std::filesystem::path dataFolder();

/// A quantized checkpoint in a temporary folder, which goes with this.
class QuantizedModel {
public:
  /// Rounds the checkpoint at `source` to nearest.
  explicit QuantizedModel(const std::filesystem::path &source);
  ~QuantizedModel();

  std::filesystem::path path() const { return work / "quantized"; }
  /// The folder that it is in.
  const std::filesystem::path &folder() const { return work; }

private:
  std::filesystem::path work;
};

class CompiledModel {
public:
  /// Compiles and opens `options.output` on the emulator; a failure fails the
  /// test that calls.
  explicit CompiledModel(const compiler::Options &options);

  bool loaded() const { return opened != nullptr; }
  runtime::Session &session() { return *opened; }

  runtime::SequenceId add() { return *opened->addSequence(); }
  void remove(runtime::SequenceId id);
  /// The logits after each of the inputs, in one step.
  std::vector<Logits>
  step(const std::vector<std::pair<runtime::SequenceId, Tokens>> &parts);

private:
  void load(const compiler::Options &options);

  std::unique_ptr<runtime::Session> opened;
};

} // namespace odyssey::testing

#endif // ODYSSEY_TEST_UNIT_KERNELS_COMPILEDMODEL_H
