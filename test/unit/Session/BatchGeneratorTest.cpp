//===- BatchGeneratorTest.cpp - Many texts at once ------------------------===//

#include "odyssey/runtime/BatchGenerator.h"

#include "ToyDecoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;
using ::testing::HasSubstr;

namespace {

class BatchGeneratorTest : public ::testing::Test {
protected:
  void open(const ToyOptions &toyOptions) {
    options = toyOptions;
    TemporaryFile file(toyBundle(options).build());
    auto opened = Bundle::open(file.path());
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    bundle = *opened;
    device = std::make_shared<FakeDevice>();
    addToyKernels(*device);
    auto created = BatchGenerator::create(bundle, device);
    ASSERT_TRUE(created.ok()) << created.status().message();
    batch = std::move(*created);
  }
  void SetUp() override { open({}); }

  /// What a Generator makes of each prompt alone.
  void expectAsAlone(const std::vector<std::string> &prompts,
                     const GenerateOptions &generateOptions) {
    std::vector<std::string> texts(prompts.size());
    auto result = batch->generate(prompts, generateOptions,
                                  [&](size_t index, std::string_view piece) {
                                    EXPECT_FALSE(piece.empty());
                                    texts.at(index) += piece;
                                    return true;
                                  });
    ASSERT_TRUE(result.ok()) << result.status().message();
    ASSERT_EQ(result->texts.size(), prompts.size());
    auto fake = std::make_shared<FakeDevice>();
    addToyKernels(*fake);
    auto alone = Generator::create(bundle, fake);
    ASSERT_TRUE(alone.ok());
    for (size_t i = 0; i < prompts.size(); ++i) {
      std::string text;
      auto expected = (*alone)->generate(prompts[i], generateOptions,
                                         [&](std::string_view piece) {
                                           text += piece;
                                           return true;
                                         });
      ASSERT_TRUE(expected.ok()) << expected.status().message();
      EXPECT_EQ(result->texts[i].tokens, expected->tokens) << prompts[i];
      EXPECT_EQ(result->texts[i].reason, expected->reason) << prompts[i];
      EXPECT_EQ(result->texts[i].promptTokens, expected->promptTokens);
      EXPECT_EQ(texts[i], text);
      ASSERT_TRUE((*alone)->reset().ok());
    }
    last = *result;
  }

  ToyOptions options;
  std::shared_ptr<FakeDevice> device;
  std::shared_ptr<const Bundle> bundle;
  std::unique_ptr<BatchGenerator> batch;
  BatchResult last;
};

const std::vector<std::string> kPrompts = {
    "hello", "a",          "once upon a time there was", "you and me",
    "be",    "the end of", "to be or not to be"};

TEST_F(BatchGeneratorTest, EveryTextIsAsItWouldBeAlone) {
  expectAsAlone(kPrompts, {.maxTokens = 9, .sampling = {.temperature = 0}});
  expectAsAlone(kPrompts,
                {.maxTokens = 7, .sampling = {.temperature = 1.5f, .seed = 3}});
  // Until the text ends or the context is full.
  expectAsAlone(kPrompts, {.sampling = {.temperature = 0}});
  expectAsAlone({}, {});
}

TEST_F(BatchGeneratorTest, WaitingTextsEnterAsOthersLeave) {
  expectAsAlone(kPrompts, {.maxTokens = 4, .sampling = {.temperature = 0}});
  // Seven texts, three at a time, with 8 tokens a step: prompts come in pieces
  // beside texts under way, and never alone but in the beginning.
  EXPECT_GT(last.mixedSteps, 3);
  EXPECT_LT(last.steps, 7 * 4 + 5);
  for (const FakeLaunch &launch : device->launches)
    if (launch.kernel == "toy_append")
      EXPECT_LE(launch.i32(5), options.maxTokensPerStep);
}

TEST_F(BatchGeneratorTest, TextsWaitForPages) {
  ToyOptions few;
  few.pages = 10;
  open(few);
  // Ten pages of four tokens are one text of 40 tokens, or several short ones.
  expectAsAlone(kPrompts, {.sampling = {.temperature = 0}});
  expectAsAlone(kPrompts, {.maxTokens = 3, .sampling = {.temperature = 0}});
  EXPECT_GT(last.mixedSteps, 0);
}

TEST_F(BatchGeneratorTest, WrongPromptsAreNamedBeforeAnythingRuns) {
  auto message = [&](std::vector<std::string> prompts,
                     GenerateOptions generateOptions) {
    auto result = batch->generate(prompts, generateOptions, nullptr);
    EXPECT_FALSE(result.ok());
    return result.status().message();
  };
  EXPECT_THAT(message({"a", std::string(60, 'b')}, {}),
              HasSubstr("prompt 2: a text of 61 tokens is longer"));
  EXPECT_THAT(message({"a", "b", "\xff"}, {}), HasSubstr("prompt 3: "));
  EXPECT_THAT(message({"a"}, {.maxTokens = 0}), HasSubstr("at least 1, got 0"));
  EXPECT_THAT(message({"a"}, {.sampling = {.temperature = -1}}),
              HasSubstr("temperature"));
  EXPECT_TRUE(device->launches.empty());
  ToyOptions noBos;
  noBos.addBos = false;
  open(noBos);
  EXPECT_THAT(message({"a", ""}, {}),
              HasSubstr("prompt 2: the prompt is empty"));
}

TEST_F(BatchGeneratorTest, ACallbackEndsItsTextAlone) {
  auto result = batch->generate(
      kPrompts, {.maxTokens = 6, .sampling = {.temperature = 0}},
      [](size_t index, std::string_view) { return index != 2; });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->texts[2].reason, StopReason::Cancelled);
  EXPECT_EQ(result->texts[2].tokens.size(), 1u);
  for (size_t i : {0u, 1u, 3u, 4u, 5u, 6u})
    EXPECT_NE(result->texts[i].reason, StopReason::Cancelled);
}

TEST_F(BatchGeneratorTest, AfterAFailureItStartsAfresh) {
  for (const char *call : {"launch", "copyToHost", "copyToDevice"}) {
    device->failAt = call;
    device->failAfter = 5;
    auto failed = batch->generate(kPrompts, {.maxTokens = 5}, nullptr);
    ASSERT_FALSE(failed.ok()) << call;
    device->failAt.clear();
    expectAsAlone(kPrompts, {.maxTokens = 5, .sampling = {.temperature = 0}});
  }
}

} // namespace
