//===- EmulatorTest.cpp - The runtime on real kernels ---------------------===//
//
// The toy decoder from its PTX, through bundle, executor, session and
// generator, on the emulator with all its checks. The same tests on a fake
// device are in SessionTest.cpp and GeneratorTest.cpp.
//
//===----------------------------------------------------------------------===//

#include "odyssey/runtime/Emulator.h"
#include "ToyDecoder.h"
#include "odyssey/runtime/Generator.h"

#include <gtest/gtest.h>

#include <numeric>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;

namespace {

class EmulatorTest : public ::testing::Test {
protected:
  void SetUp() override {
    auto emulator = createEmulator({.threads = 2, .checkHazards = true});
    ASSERT_TRUE(emulator.ok()) << emulator.status().message();
    device = std::move(*emulator);
    TemporaryFile file(toyBundle(options).build());
    auto opened = Bundle::open(file.path());
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    bundle = *opened;
  }

  ToyOptions options;
  std::shared_ptr<Device> device;
  std::shared_ptr<const Bundle> bundle;
};

TEST_F(EmulatorTest, SequencesShareStepsAndPages) {
  auto session = Session::create(bundle, device);
  ASSERT_TRUE(session.ok()) << session.status().message();
  std::vector<std::vector<int32_t>> histories(3);
  std::vector<SequenceId> ids;
  for (size_t i = 0; i < 3; ++i)
    ids.push_back(*(*session)->addSequence());
  // Prompts of 5, 12 and 19 tokens; then nine steps of all three.
  for (size_t round = 0; round < 10; ++round) {
    std::vector<std::vector<int32_t>> tokens(3);
    std::vector<Session::Input> inputs;
    for (size_t i = 0; i < 3; ++i) {
      tokens[i].resize(round == 0 ? 5 + 7 * i : 1);
      std::iota(tokens[i].begin(), tokens[i].end(), int32_t(10 * i + round));
      histories[i].insert(histories[i].end(), tokens[i].begin(),
                          tokens[i].end());
      inputs.push_back({ids[i], tokens[i], /*wantLogits=*/true});
    }
    auto outputs = (*session)->step(inputs);
    ASSERT_TRUE(outputs.ok()) << outputs.status().message();
    for (size_t i = 0; i < 3; ++i) {
      int32_t next = toyNextToken(histories[i], options);
      EXPECT_EQ((*outputs)[i].nextToken, next);
      ASSERT_EQ((*outputs)[i].logits.size(), size_t(options.vocabulary));
      for (int32_t v = 0; v < options.vocabulary; ++v)
        EXPECT_EQ((*outputs)[i].logits[size_t(v)], -float(std::abs(v - next)));
    }
  }
  // All nine steps of three sequences are one graph.
  EXPECT_EQ((*session)->executor().recordedGraphs(), 1u);
}

TEST_F(EmulatorTest, GeneratesTheSameTextAsTheFakeDevice) {
  auto fake = std::make_shared<FakeDevice>();
  addToyKernels(*fake);
  std::vector<std::vector<int32_t>> tokens;
  for (std::shared_ptr<Device> each :
       {device, std::static_pointer_cast<Device>(fake)}) {
    auto generator = Generator::create(bundle, each);
    ASSERT_TRUE(generator.ok()) << generator.status().message();
    auto result = (*generator)
                      ->generate("once upon a time",
                                 {.maxTokens = 20,
                                  .sampling = {.temperature = 1.5f, .seed = 4}},
                                 nullptr);
    ASSERT_TRUE(result.ok()) << result.status().message();
    tokens.push_back(result->tokens);
  }
  EXPECT_EQ(tokens[0], tokens[1]);
  EXPECT_FALSE(tokens[0].empty());
}

} // namespace
