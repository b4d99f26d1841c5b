//===- ModelLogitsTest.cpp - Compiled models against the reference --------===//
//
// Logits of a 64-token prompt, position by position: the compiled W4A8 model in
// the emulator and the reference in plain C++ with the same quantized weights
// are equal bit for bit, and so is the model with prefill in pieces, token by
// token and from other buckets.
//
//===----------------------------------------------------------------------===//

#include "CompiledModel.h"
#include "CompiledModule.h"
#include "Goldens.h"

#include "odyssey/Compiler/Compilation.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Quantize/QuantizeCheckpoint.h"
#include "odyssey/Quantize/ReferenceWeights.h"
#include "odyssey/runtime/Emulator.h"
#include "odyssey/runtime/Tokenizer.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

using namespace odyssey;
using namespace odyssey::testing;
using runtime::ElementType;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kPrompt = 64;
constexpr const char *kStories = "stories260K/stories260K.gguf";

struct Model {
  const char *name;
  /// Relative to the data folder, or an environment variable with a path.
  const char *path;
  const char *environment = nullptr;
  /// A folder of test/goldens, whose prompt is part of it.
  bool golden = false;
  KvCacheType kvCache = KvCacheType::F16;
  /// Of the quantization.
  int64_t groupSize = 0;
  int64_t weightBits = 4;
};

class ModelLogits : public ::testing::TestWithParam<Model> {
protected:
  void SetUp() override {
    const char *data = std::getenv("ODYSSEY_DATA");
    fs::path folder = data ? data : ODYSSEY_DATA_DIR;
    std::string source = GetParam().golden
                             ? goldenFolder(GetParam().path)
                             : (folder / GetParam().path).string();
    if (GetParam().environment) {
      const char *path = std::getenv(GetParam().environment);
      if (!path || !fs::exists(path))
        GTEST_SKIP() << "there is no " << GetParam().name
                     << " (./dev demo fetches it)";
      source = path;
    }
    if (!fs::exists(source))
      GTEST_SKIP() << "there is no " << source;
    text = folder / "text" / "tinystories-valid.txt";

    std::string pattern =
        (fs::temp_directory_path() / "odyssey-logits-XXXXXX").string();
    work = ::mkdtemp(pattern.data());
    auto checkpoint = llvm::cantFail(Checkpoint::open(source));
    QuantizeOptions quantization;
    quantization.groupSize = GetParam().groupSize;
    quantization.weightBits = GetParam().weightBits;
    llvm::cantFail(quantizeCheckpoint(
        *checkpoint, (work / "quantized").string(), quantization));
    quantized = llvm::cantFail(
        QuantizedCheckpoint::open((work / "quantized").string()));

    compiler::Options options;
    options.input = work / "quantized";
    options.output = work / "model.odyssey";
    // Long enough that steps of few tokens split the KV length.
    options.maxContext = std::min<int64_t>(quantized->config().maxContext, 512);
    options.maxBatch = 2;
    options.kvCache = GetParam().kvCache;
    options.assemble = false;
    auto summary = compiler::run(options);
    ASSERT_TRUE(static_cast<bool>(summary))
        << llvm::toString(summary.takeError());
    auto bundle = runtime::Bundle::open(options.output);
    ASSERT_TRUE(bundle.ok()) << bundle.status().message();
    auto device = runtime::createEmulator();
    ASSERT_TRUE(device.ok()) << device.status().message();
    auto created = runtime::Executor::create(
        *bundle, std::shared_ptr<runtime::Device>(std::move(*device)));
    ASSERT_TRUE(created.ok()) << created.status().message();
    executor = std::move(*created);
    pages = (options.maxContext + 63) / 64;
    ASSERT_NO_FATAL_FAILURE(readPrompt());
  }

  void TearDown() override {
    executor.reset();
    if (!work.empty())
      fs::remove_all(work);
  }

  /// The first tokens of a real text, which random models have no use for.
  void readPrompt() {
    if (GetParam().golden) {
      prompt = Golden(GetParam().path).integers("tokens");
      ASSERT_EQ(prompt.size(), static_cast<size_t>(kPrompt));
      return;
    }
    std::ifstream file(text);
    std::stringstream content;
    content << file.rdbuf();
    const TokenizerFile &source = quantized->tokenizerFiles().front();
    auto tokenizer = runtime::Tokenizer::load(
        source.name, std::as_bytes(std::span(source.bytes)));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    auto ids = (*tokenizer)->encode(content.str().substr(0, 2000));
    ASSERT_TRUE(ids.ok()) << ids.status().message();
    ASSERT_GE(ids->size(), static_cast<size_t>(kPrompt));
    prompt.assign(ids->begin(), ids->begin() + kPrompt);
  }

  /// Runs tokens [from, to) of the prompt as sequence `slot` and returns their
  /// logits as bits, row by row.
  std::vector<std::vector<float>> step(int64_t from, int64_t to,
                                       int32_t slot = 0) {
    std::vector<int32_t> ids(prompt.begin() + from, prompt.begin() + to);
    std::vector<int32_t> positions, sequences(to - from, slot), rows;
    for (int64_t i = from; i < to; ++i) {
      positions.push_back(static_cast<int32_t>(i));
      rows.push_back(static_cast<int32_t>(i - from));
    }
    // Pages in an order that no arithmetic would guess.
    std::vector<int32_t> table(2 * pages);
    for (size_t i = 0; i < table.size(); ++i)
      table[i] = static_cast<int32_t>(table.size() - 1 - i);
    int64_t m = to - from;
    auto i32 = [](std::vector<int64_t> shape, const std::vector<int32_t> &v) {
      return tensor(ElementType::I32, std::move(shape), v);
    };
    auto forward = executor->run(
        "forward", std::vector{i32({m}, ids), i32({m}, positions),
                               i32({m}, sequences), i32({2, pages}, table)});
    EXPECT_TRUE(forward.ok()) << forward.status().message();
    auto logits = executor->run("logits", std::vector{i32({m}, rows)});
    EXPECT_TRUE(logits.ok()) << logits.status().message();
    std::vector<std::vector<float>> result;
    if (!logits.ok())
      return result;
    std::vector<float> all = elements<float>((*logits)[0]);
    std::vector<int32_t> next = elements<int32_t>((*logits)[1]);
    size_t vocabulary = all.size() / m;
    for (int64_t row = 0; row < m; ++row) {
      result.emplace_back(all.begin() + row * vocabulary,
                          all.begin() + (row + 1) * vocabulary);
      auto greatest = std::max_element(result[row].begin(), result[row].end());
      EXPECT_EQ(next[row], greatest - result[row].begin());
    }
    return result;
  }

  fs::path work, text;
  std::unique_ptr<QuantizedCheckpoint> quantized;
  std::unique_ptr<runtime::Executor> executor;
  std::vector<int32_t> prompt;
  int64_t pages = 0;
};

TEST_P(ModelLogits, EqualTheReferenceAtEveryPosition) {
  bool int8 = GetParam().kvCache == KvCacheType::I8;
  reference::ReferenceModel model(viewW4A8Weights(*quantized), /*threads=*/0,
                                  int8);
  reference::Matrix expected = model.prefill(prompt);
  std::vector<std::vector<float>> actual = step(0, kPrompt);
  ASSERT_EQ(actual.size(), static_cast<size_t>(kPrompt));
  for (int64_t i = 0; i < kPrompt; ++i)
    EXPECT_TRUE(std::ranges::equal(actual[i], expected.row(i)))
        << "position " << i;
}

TEST_P(ModelLogits, DoNotDependOnHowThePromptIsCut) {
  std::vector<std::vector<float>> whole = step(0, kPrompt);
  for (auto pieces : std::vector<std::vector<int64_t>>{
           {0, 1, 9, 25, kPrompt}, {0, 40, 41, 42, kPrompt}}) {
    ASSERT_TRUE(executor->clearStates().ok());
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      // The other slot: another sequence's pages.
      auto part = step(pieces[i], pieces[i + 1], /*slot=*/1);
      for (int64_t row = 0; row < pieces[i + 1] - pieces[i]; ++row)
        EXPECT_EQ(part[row], whole[pieces[i] + row])
            << "position " << pieces[i] + row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, ModelLogits,
    ::testing::Values(
        Model{.name = "stories260K", .path = kStories},
        Model{.name = "stories260KInt8Cache",
              .path = kStories,
              .kvCache = KvCacheType::I8},
        Model{
            .name = "stories260KGroupsOf32", .path = kStories, .groupSize = 32},
        Model{.name = "stories260KBytes", .path = kStories, .weightBits = 8},
        Model{.name = "TinyStories656K", .path = "TinyStories-656K"},
        Model{.name = "SmolLM2", .path = "", .environment = "ODYSSEY_SMOLLM2"},
        Model{.name = "Llama3", .path = "llama3", .golden = true},
        Model{.name = "Mistral", .path = "mistral", .golden = true},
        Model{.name = "Qwen2", .path = "qwen2", .golden = true},
        Model{.name = "Qwen3", .path = "qwen3", .golden = true}),
    [](const auto &info) { return std::string(info.param.name); });

} // namespace
