//===- ModelInvarianceTest.cpp - What a sequence does not depend on -------===//
//
// The promise of docs/numerics.md on compiled models in the emulator: the
// logits of a sequence are equal bit for bit whether it is alone in a step or
// beside others, whether its prompt comes in one piece or in pieces of 64,
// whether it is decoded in the bucket of 1 or of 8, and whether it runs on
// sm_80 or sm_90a, whose tensor cores round fp16 sums differently.
//
//===----------------------------------------------------------------------===//

#include "CompiledModel.h"

#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/runtime/Tokenizer.h"

#include "gtest/gtest.h"

#include <algorithm>

using namespace odyssey;
using namespace odyssey::testing;
using runtime::SequenceId;
namespace fs = std::filesystem;

namespace {

constexpr size_t kTextCount = 5;
/// The first text is longer than a piece of 64.
constexpr size_t kLengths[kTextCount] = {70, 3, 1, 5, 2};
constexpr size_t kPiece = 64;
constexpr size_t kGreedySteps = 6;

struct Model {
  const char *name;
  /// Relative to the data folder, or an environment variable with a path.
  const char *path, *environment;
};

int32_t greatest(const Logits &logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) -
                              logits.begin());
}

constexpr const char *kTexts[] = {
    "Once upon a time there was a small boat on a wide river. Every morning a "
    "girl came down to the water and waved, and the boat rocked as if it waved "
    "back. One day the wind was so strong that the rope broke, and the boat "
    "went down the river, past the mill and the old bridge, until it came to "
    "the sea. The girl ran along the bank and called its name.",
    "The sun was very", "Once", "One day, a little girl named", "She was"};

/// The first tokens of each text.
std::vector<Tokens> textsFor(const QuantizedModel &quantized) {
  auto checkpoint =
      llvm::cantFail(QuantizedCheckpoint::open(quantized.path().string()));
  const TokenizerFile &file = checkpoint->tokenizerFiles().front();
  auto tokenizer =
      runtime::Tokenizer::load(file.name, std::as_bytes(std::span(file.bytes)));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  std::vector<Tokens> texts;
  for (size_t i = 0; i < kTextCount && tokenizer.ok(); ++i) {
    auto ids = (*tokenizer)->encode(kTexts[i]);
    EXPECT_TRUE(ids.ok() && ids->size() >= kLengths[i]) << kTexts[i];
    if (!ids.ok() || ids->size() < kLengths[i])
      return {};
    texts.emplace_back(ids->begin(), ids->begin() + kLengths[i]);
  }
  return texts;
}

/// Tokens that both vocabularies have and that make no text: behind them two
/// tokens may nearly tie.
std::vector<Tokens> noise() {
  std::vector<Tokens> all;
  for (size_t i = 0; i < kTextCount; ++i) {
    Tokens &tokens = all.emplace_back();
    for (size_t position = 0; position < kLengths[i]; ++position)
      tokens.push_back(static_cast<int32_t>(
          (17 * i + 31 * position + position * position) % 500 + 3));
  }
  return all;
}

/// The model of that folder for one target.
compiler::Options optionsFor(const QuantizedModel &quantized,
                             const std::string &target) {
  compiler::Options options;
  options.input = quantized.path();
  options.output = quantized.folder() / (target + ".odyssey");
  options.target = target;
  options.maxContext = 96;
  options.maxBatch = kTextCount;
  options.assemble = false;
  return options;
}

class ModelInvariance : public ::testing::TestWithParam<Model> {
protected:
  void SetUp() override {
    fs::path source = dataFolder();
    source /= GetParam().path;
    if (GetParam().environment) {
      const char *path = std::getenv(GetParam().environment);
      source = path ? path : "";
    }
    if (!fs::exists(source))
      GTEST_SKIP() << "there is no " << GetParam().name;
    quantized = std::make_unique<QuantizedModel>(source);
  }

  std::unique_ptr<QuantizedModel> quantized;
};

/// The logits of the first text alone and its greedy continuation. Checks that
/// its prompt in pieces gives the same ones.
void continueAlone(CompiledModel &model, const Tokens &text,
                   std::vector<Logits> &logits) {
  SequenceId whole = model.add();
  logits = model.step({{whole, text}});
  for (size_t n = 0; n < kGreedySteps; ++n) {
    Tokens next = {greatest(logits.back())};
    logits.push_back(model.step({{whole, next}}).front());
  }
  model.remove(whole);

  SequenceId pieces = model.add();
  model.step({{pieces, Tokens(text.begin(), text.begin() + kPiece)}});
  auto last = model.step({{pieces, Tokens(text.begin() + kPiece, text.end())}});
  EXPECT_EQ(last.front(), logits.front()) << "in pieces of " << kPiece;
  model.remove(pieces);
}

/// The greedy tokens of all texts in the same steps. Checks that the logits of
/// the first one are those of it alone.
std::vector<Tokens> continueTogether(CompiledModel &model,
                                     const std::vector<Tokens> &texts,
                                     const std::vector<Logits> &alone) {
  std::vector<std::pair<SequenceId, Tokens>> parts;
  for (const Tokens &text : texts)
    parts.push_back({model.add(), text});
  std::vector<Tokens> tokens(texts.size());
  for (size_t n = 0; n <= kGreedySteps; ++n) {
    std::vector<Logits> logits = model.step(parts);
    EXPECT_EQ(logits[0], alone[n]) << "beside others, after " << n << " steps";
    for (size_t i = 0; i < texts.size(); ++i) {
      tokens[i].push_back(greatest(logits[i]));
      parts[i].second = {tokens[i].back()};
    }
  }
  for (const auto &[id, text] : parts)
    model.remove(id);
  return tokens;
}

TEST_P(ModelInvariance, LogitsOfASequence) {
  const std::vector<Tokens> prompts[] = {textsFor(*quantized), noise()};
  ASSERT_EQ(prompts[0].size(), kTextCount);
  // By kind of prompt, on the first target.
  std::vector<Logits> first[2];
  std::vector<Tokens> firstTokens[2];
  for (const char *target : {"sm_80", "sm_90a"}) {
    SCOPED_TRACE(target);
    CompiledModel model(optionsFor(*quantized, target));
    ASSERT_TRUE(model.loaded());
    for (size_t kind : {0, 1}) {
      SCOPED_TRACE(kind == 0 ? "texts" : "noise");
      std::vector<Logits> logits;
      continueAlone(model, prompts[kind][0], logits);
      std::vector<Tokens> tokens =
          continueTogether(model, prompts[kind], logits);
      if (first[kind].empty()) {
        first[kind] = logits;
        firstTokens[kind] = tokens;
      }
      EXPECT_EQ(logits, first[kind]);
      EXPECT_EQ(tokens, firstTokens[kind]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, ModelInvariance,
    ::testing::Values(Model{"stories260K", "stories260K/stories260K.gguf",
                            nullptr},
                      Model{"SmolLM2", "", "ODYSSEY_SMOLLM2"}),
    [](const auto &info) { return std::string(info.param.name); });

} // namespace
