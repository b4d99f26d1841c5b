//===- GeneratorTest.cpp - Text in, text out ------------------------------===//

#include "odyssey/runtime/Generator.h"

#include "ToyDecoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;
using ::testing::HasSubstr;

namespace {

class GeneratorTest : public ::testing::Test {
protected:
  void open(const ToyOptions &toyOptions) {
    options = toyOptions;
    TemporaryFile file(toyBundle(options).build());
    auto bundle = Bundle::open(file.path());
    ASSERT_TRUE(bundle.ok()) << bundle.status().message();
    device = std::make_shared<FakeDevice>();
    addToyKernels(*device);
    auto created = Generator::create(*bundle, device);
    ASSERT_TRUE(created.ok()) << created.status().message();
    generator = std::move(*created);
  }
  void SetUp() override { open({}); }

  /// Generates with the text collected in `text`.
  Result<GenerateResult> generate(std::string_view prompt,
                                  const GenerateOptions &generateOptions) {
    return generator->generate(prompt, generateOptions,
                               [&](std::string_view piece) {
                                 text += piece;
                                 ++pieces;
                                 return true;
                               });
  }

  /// The tokens that the toy gives to a prompt, with BOS and up to `count`.
  std::vector<int32_t> expected(const std::string &prompt, size_t count) {
    history.push_back(1);
    append(prompt);
    return continuation(count);
  }
  void append(const std::string &prompt) {
    auto tokens = generator->tokenizer().encode(prompt, {.addBos = false});
    ASSERT_TRUE(tokens.ok());
    history.insert(history.end(), tokens->begin(), tokens->end());
  }
  std::vector<int32_t> continuation(size_t count) {
    std::vector<int32_t> result;
    while (result.size() < count) {
      int32_t next = toyNextToken(history, options);
      history.push_back(next);
      if (next == options.eos)
        break;
      result.push_back(next);
    }
    return result;
  }

  ToyOptions options;
  std::shared_ptr<FakeDevice> device;
  std::unique_ptr<Generator> generator;
  std::vector<int32_t> history;
  std::string text;
  int pieces = 0;
};

TEST_F(GeneratorTest, GreedyTextFollowsTheModel) {
  auto result = generate("hello there", {.maxTokens = 9});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->tokens, expected("hello there", 9));
  EXPECT_EQ(result->reason, StopReason::MaxTokens);
  EXPECT_EQ(result->promptTokens, 12);
  EXPECT_EQ(result->decodeSteps, 8);
  EXPECT_EQ(text, generator->tokenizer().decode(result->tokens,
                                                {.continuation = true}));
  EXPECT_GT(pieces, 1);
}

TEST_F(GeneratorTest, GreedyDecodingCopiesNoLogits) {
  ASSERT_TRUE(generate("abc", {.maxTokens = 3}).ok());
  for (const std::string &call : device->calls) {
    if (call.starts_with("copyToHost")) {
      EXPECT_EQ(call, "copyToHost 4");
    }
  }
}

TEST_F(GeneratorTest, SamplingWithASeedIsRepeatable) {
  GenerateOptions sampling{.maxTokens = 12,
                           .sampling = {.temperature = 3, .seed = 7}};
  auto first = generate("abc", sampling);
  ASSERT_TRUE(first.ok()) << first.status().message();
  ASSERT_TRUE(generator->reset().ok());
  auto second = generate("abc", sampling);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(first->tokens, second->tokens);
  ASSERT_TRUE(generator->reset().ok());
  sampling.sampling.seed = 8;
  auto third = generate("abc", sampling);
  ASSERT_TRUE(third.ok());
  EXPECT_NE(first->tokens, third->tokens);
}

TEST_F(GeneratorTest, TopKOfOneIsGreedy) {
  auto sampled =
      generate("abc", {.maxTokens = 6,
                       .sampling = {.temperature = 2, .topK = 1, .seed = 3}});
  ASSERT_TRUE(sampled.ok());
  EXPECT_EQ(sampled->tokens, expected("abc", 6));
}

TEST_F(GeneratorTest, StopsWhereTheTextEnds) {
  // Whatever the toy says third is made the end.
  std::vector<int32_t> tokens = expected("quite a text", 3);
  ToyOptions other;
  other.eos = tokens[2];
  open(other);
  auto result = generate("quite a text", {.maxTokens = 20});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->reason, StopReason::EndOfText);
  EXPECT_EQ(result->tokens, std::vector(tokens.begin(), tokens.begin() + 2));
}

TEST_F(GeneratorTest, StopsWhereTheContextIsFull) {
  auto result = generate("abc", {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->reason, StopReason::ContextFull);
  // 40 tokens in the sequence, and the one that follows them.
  EXPECT_EQ(result->tokens.size(), 40u - 4u + 1u);
  EXPECT_EQ(result->tokens, expected("abc", 37));
}

TEST_F(GeneratorTest, TooLongForTheContextNamesTheLimit) {
  auto prompt = generate(std::string(40, 'a'), {});
  ASSERT_FALSE(prompt.ok());
  EXPECT_EQ(prompt.status().code(), StatusCode::ResourceExhausted);
  EXPECT_THAT(prompt.status().message(),
              HasSubstr("41 tokens is longer than the context of 40 tokens"));
  auto tokens = generate("abc", {.maxTokens = 38});
  ASSERT_FALSE(tokens.ok());
  EXPECT_THAT(tokens.status().message(), HasSubstr("with 38 new ones"));
  EXPECT_TRUE(text.empty());
  EXPECT_TRUE(generate("abc", {.maxTokens = 37}).ok());
}

TEST_F(GeneratorTest, TheNextPromptContinuesTheText) {
  auto first = generate("hello", {.maxTokens = 4});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->tokens, expected("hello", 4));
  append(" you");
  auto second = generate(" you", {.maxTokens = 5});
  ASSERT_TRUE(second.ok()) << second.status().message();
  EXPECT_EQ(second->tokens, continuation(5));
  // The last token of the first answer, and the prompt; no second BOS.
  EXPECT_EQ(second->promptTokens, 5);
  // Nothing at all continues as well.
  auto third = generate("", {.maxTokens = 2});
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(third->tokens, continuation(2));
}

TEST_F(GeneratorTest, CancelledByTheCallback) {
  int calls = 0;
  auto result = generator->generate(
      "hello", {}, [&](std::string_view) { return ++calls < 3; });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->reason, StopReason::Cancelled);
  EXPECT_EQ(calls, 3);
  std::vector<int32_t> tokens = expected("hello", result->tokens.size());
  EXPECT_EQ(result->tokens, tokens);
  // The text goes on from there.
  auto rest = generate("", {.maxTokens = 2});
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(rest->tokens, continuation(2));
}

TEST_F(GeneratorTest, WorksWithoutACallback) {
  auto result = generator->generate("hello", {.maxTokens = 3}, nullptr);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->tokens.size(), 3u);
}

TEST_F(GeneratorTest, BadInputIsRefusedBeforeAnythingRuns) {
  auto code = [&](std::string_view prompt, const GenerateOptions &options) {
    return generate(prompt, options).status().code();
  };
  EXPECT_EQ(code("ab\xff", {}), StatusCode::InvalidArgument);
  EXPECT_EQ(code("ab", {.maxTokens = 0}), StatusCode::InvalidArgument);
  EXPECT_EQ(code("ab", {.sampling = {.temperature = -1}}),
            StatusCode::InvalidArgument);
  EXPECT_TRUE(device->launches.empty());
}

TEST_F(GeneratorTest, AnEmptyPromptNeedsABosToken) {
  EXPECT_TRUE(generate("", {.maxTokens = 1}).ok());
  ToyOptions other;
  other.addBos = false;
  open(other);
  auto result = generate("", {.maxTokens = 1});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().message(), "the prompt is empty");
  EXPECT_TRUE(generate("a", {.maxTokens = 1}).ok());
}

TEST_F(GeneratorTest, ProfilingLeavesTheTextAsItIs) {
  EXPECT_EQ(generator->profile().status().code(),
            StatusCode::FailedPrecondition);
  auto first = generate("hello", {.maxTokens = 4});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->tokens, expected("hello", 4));
  auto profile = generator->profile();
  ASSERT_TRUE(profile.ok()) << profile.status().message();
  EXPECT_EQ(profile->tokens, 9);
  EXPECT_EQ(profile->prefill["attention"].launches, 2u);
  EXPECT_EQ(profile->decode["attention"].launches, 1u);
  auto second = generate("", {.maxTokens = 5});
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->tokens, continuation(5));
}

TEST_F(GeneratorTest, BundlesThatMakeNoTextAreRefused) {
  nlohmann::json plan = toyPlan();
  plan["model"].erase("tokenizer");
  TemporaryFile noTokenizer(
      BundleBuilder().plan(plan).add("kernels.sm_80.ptx", "").build());
  auto bundle = Bundle::open(noTokenizer.path());
  ASSERT_TRUE(bundle.ok()) << bundle.status().message();
  auto created = Generator::create(*bundle, device);
  ASSERT_FALSE(created.ok());
  EXPECT_THAT(created.status().message(), HasSubstr("has no tokenizer"));

  plan.erase("model");
  TemporaryFile noModel(
      BundleBuilder().plan(plan).add("kernels.sm_80.ptx", "").build());
  bundle = Bundle::open(noModel.path());
  ASSERT_TRUE(bundle.ok());
  created = Generator::create(*bundle, device);
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(created.status().code(), StatusCode::FailedPrecondition);
  EXPECT_THAT(created.status().message(), HasSubstr("only functions"));
}

} // namespace
