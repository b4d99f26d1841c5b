//===- ModelInvarianceTest.cpp - What a sequence does not depend on -------===//
//
// The promise of docs/numerics.md on compiled models of sm_80 and sm_90a in the
// emulator: the logits of a sequence are equal bit for bit whether it is alone
// in a step or beside others, whether its prompt comes in one piece or in
// pieces of 64, and whether it is decoded in the bucket of 1 or of 8. Between
// targets the tensor cores round fp16 sums differently (attention, logits), so
// there the greedy tokens are compared.
//
//===----------------------------------------------------------------------===//

#include "CompiledModel.h"

#include "gtest/gtest.h"

#include <algorithm>

using namespace odyssey;
using namespace odyssey::testing;
using runtime::SequenceId;
namespace fs = std::filesystem;

namespace {

constexpr size_t kTexts = 5;
/// The first text is longer than a piece of 64.
constexpr size_t kLengths[kTexts] = {70, 3, 1, 5, 2};
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

/// Some tokens that both vocabularies have.
Tokens textOf(size_t i) {
  Tokens tokens;
  for (size_t position = 0; position < kLengths[i]; ++position)
    tokens.push_back(static_cast<int32_t>(
        (17 * i + 31 * position + position * position) % 500 + 3));
  return tokens;
}

/// The model of that folder for one target.
compiler::Options optionsFor(const QuantizedModel &quantized,
                             const std::string &target) {
  compiler::Options options;
  options.input = quantized.path();
  options.output = quantized.folder() / (target + ".odyssey");
  options.target = target;
  options.maxContext = 96;
  options.maxBatch = kTexts;
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

/// The greedy tokens of the first text alone. Checks that its prompt in pieces
/// gives the same logits.
Tokens continueAlone(CompiledModel &model, std::vector<Logits> &logits) {
  Tokens text = textOf(0), tokens;
  SequenceId whole = model.add();
  logits = model.step({{whole, text}});
  for (size_t n = 0; n < kGreedySteps; ++n) {
    tokens.push_back(greatest(logits.back()));
    logits.push_back(model.step({{whole, {tokens.back()}}}).front());
  }
  model.remove(whole);

  SequenceId pieces = model.add();
  model.step({{pieces, Tokens(text.begin(), text.begin() + kPiece)}});
  auto last = model.step({{pieces, Tokens(text.begin() + kPiece, text.end())}});
  EXPECT_EQ(last.front(), logits.front()) << "in pieces of " << kPiece;
  model.remove(pieces);
  return tokens;
}

/// The greedy tokens of all texts in the same steps. Checks that the logits of
/// the first one are those of it alone.
std::vector<Tokens> continueTogether(CompiledModel &model,
                                     const std::vector<Logits> &alone) {
  std::vector<std::pair<SequenceId, Tokens>> parts;
  for (size_t i = 0; i < kTexts; ++i)
    parts.push_back({model.add(), textOf(i)});
  std::vector<Tokens> tokens(kTexts);
  for (size_t n = 0; n <= kGreedySteps; ++n) {
    std::vector<Logits> logits = model.step(parts);
    EXPECT_EQ(logits[0], alone[n]) << "beside others, after " << n << " steps";
    for (size_t i = 0; i < kTexts; ++i) {
      tokens[i].push_back(greatest(logits[i]));
      parts[i].second = {tokens[i].back()};
    }
  }
  return tokens;
}

TEST_P(ModelInvariance, LogitsOfASequenceAndTokensOfATarget) {
  std::vector<Tokens> alone;
  std::vector<std::vector<Tokens>> together;
  for (const char *target : {"sm_80", "sm_90a"}) {
    SCOPED_TRACE(target);
    CompiledModel model(optionsFor(*quantized, target));
    ASSERT_TRUE(model.loaded());
    std::vector<Logits> logits;
    alone.push_back(continueAlone(model, logits));
    together.push_back(continueTogether(model, logits));
  }
  EXPECT_EQ(alone[0], alone[1]);
  EXPECT_EQ(together[0], together[1]);
}

INSTANTIATE_TEST_SUITE_P(
    Models, ModelInvariance,
    ::testing::Values(Model{"stories260K", "stories260K/stories260K.gguf",
                            nullptr},
                      Model{"SmolLM2", "", "ODYSSEY_SMOLLM2"}),
    [](const auto &info) { return std::string(info.param.name); });

} // namespace
