//===- CompiledModel.cpp - A model from checkpoint to session -------------===//

#include "CompiledModel.h"

#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Quantize/QuantizeCheckpoint.h"
#include "odyssey/runtime/Emulator.h"

#include "gtest/gtest.h"

#include <cmath>
#include <unistd.h>

using namespace odyssey;
using namespace odyssey::testing;
namespace fs = std::filesystem;

fs::path odyssey::testing::dataFolder() {
  const char *data = std::getenv("ODYSSEY_DATA");
  return data ? data : ODYSSEY_DATA_DIR;
}

QuantizedModel::QuantizedModel(const fs::path &source) {
  std::string pattern =
      (fs::temp_directory_path() / "odyssey-model-XXXXXX").string();
  work = ::mkdtemp(pattern.data());
  auto checkpoint = llvm::cantFail(Checkpoint::open(source.string()));
  llvm::cantFail(quantizeCheckpoint(*checkpoint, path().string(), {}));
}

QuantizedModel::~QuantizedModel() { fs::remove_all(work); }

CompiledModel::CompiledModel(const compiler::Options &options) {
  load(options);
}

void CompiledModel::load(const compiler::Options &options) {
  auto summary = compiler::run(options);
  ASSERT_TRUE(static_cast<bool>(summary))
      << llvm::toString(summary.takeError());
  auto bundle = runtime::Bundle::open(options.output);
  ASSERT_TRUE(bundle.ok()) << bundle.status().message();
  auto device = runtime::createEmulator();
  ASSERT_TRUE(device.ok()) << device.status().message();
  auto created = runtime::Session::create(
      *bundle, std::shared_ptr<runtime::Device>(std::move(*device)));
  ASSERT_TRUE(created.ok()) << created.status().message();
  opened = std::move(*created);
}

void CompiledModel::remove(runtime::SequenceId id) {
  EXPECT_TRUE(opened->removeSequence(id).ok());
}

std::vector<Logits> CompiledModel::step(
    const std::vector<std::pair<runtime::SequenceId, Tokens>> &parts) {
  std::vector<runtime::Session::Input> inputs;
  for (auto &[sequence, tokens] : parts)
    inputs.push_back({sequence, tokens, /*wantLogits=*/true});
  auto outputs = opened->step(inputs);
  EXPECT_TRUE(outputs.ok()) << outputs.status().message();
  std::vector<Logits> logits(parts.size());
  if (outputs.ok())
    for (size_t i = 0; i < parts.size(); ++i)
      logits[i] = std::move((*outputs)[i].logits);
  return logits;
}
