//===- ModelConfigTest.cpp ------------------------------------------------===//

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"

#include "TestCheckpoints.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::HasSubstr;

TEST(RopeFrequencies, Plain) {
  ModelConfig config = makeTestModel().config;
  std::vector<double> frequencies = ropeFrequencies(config);
  ASSERT_EQ(frequencies.size(), 8u);
  EXPECT_EQ(frequencies[0], 1.0);
  // 10000^(-2 * 4 / 16)
  EXPECT_DOUBLE_EQ(frequencies[4], 0.01);
}

TEST(RopeFrequencies, Linear) {
  ModelConfig config = makeTestModel().config;
  config.ropeScaling = {.kind = RopeScaling::Kind::Linear, .factor = 4.0};
  EXPECT_DOUBLE_EQ(ropeFrequencies(config)[4], 0.0025);
}

TEST(RopeFrequencies, Llama3) {
  // Llama 3.1 8B. Wavelengths over 8192 are divided, those under 2048 stay.
  ModelConfig config;
  config.headDim = 128;
  config.ropeTheta = 500000.0;
  std::vector<double> plain = ropeFrequencies(config);
  config.ropeScaling = {.kind = RopeScaling::Kind::Llama3,
                        .factor = 8.0,
                        .lowFreqFactor = 1.0,
                        .highFreqFactor = 4.0,
                        .originalMaxContext = 8192};
  std::vector<double> scaled = ropeFrequencies(config);
  int kept = 0, divided = 0, between = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    double turns = 8192 * plain[i] / (2 * M_PI);
    if (turns > 4) {
      EXPECT_EQ(scaled[i], plain[i]);
      ++kept;
    } else if (turns < 1) {
      EXPECT_EQ(scaled[i], plain[i] / 8);
      ++divided;
    } else {
      // A straight line in `turns` between the two.
      double part = (turns - 1) / 3;
      EXPECT_NEAR(scaled[i] / plain[i], 1.0 / 8 + part * (1 - 1.0 / 8), 1e-12);
      ++between;
    }
  }
  EXPECT_EQ(kept, 29);
  EXPECT_EQ(between, 6);
  EXPECT_EQ(divided, 29);
}

TEST(ModelConfig, ReductionBound) {
  ModelConfig config = makeTestModel().config;
  config.ffnSize = maxReductionSize;
  EXPECT_EQ(errorText(checkReductionSizes(config)), "");
  config.ffnSize = maxReductionSize + 1;
  EXPECT_THAT(errorText(checkReductionSizes(config)),
              HasSubstr("tensor 'model.layers.0.mlp.down_proj.weight' has "
                        "132105 input channels"));
  // The bound is where the accumulator overflows.
  EXPECT_LT(int64_t(127) * 128 * maxReductionSize, int64_t(1) << 31);
  EXPECT_GE(int64_t(127) * 128 * (maxReductionSize + 1), int64_t(1) << 31);
}

TEST(ModelConfig, Contradictions) {
  auto error = [](auto change) {
    ModelConfig config = makeTestModel().config;
    change(config);
    return errorText(checkConfig(config));
  };
  EXPECT_EQ(error([](ModelConfig &) {}), "");
  EXPECT_EQ(error([](ModelConfig &c) { c.hiddenSize = 0; }),
            "the model's hidden size is 0");
  EXPECT_EQ(error([](ModelConfig &c) { c.vocabSize = -5; }),
            "the model's vocabulary size is -5");
  EXPECT_EQ(error([](ModelConfig &c) { c.numKvHeads = 3; }),
            "4 attention heads cannot share 3 key-value heads");
  EXPECT_THAT(error([](ModelConfig &c) { c.headDim = 15; }),
              HasSubstr("the head size 15 is odd"));
  EXPECT_THAT(error([](ModelConfig &c) { c.rmsNormEps = NAN; }),
              HasSubstr("epsilon"));
  EXPECT_THAT(error([](ModelConfig &c) { c.ropeTheta = 0; }),
              HasSubstr("base of RoPE"));
  EXPECT_THAT(error([](ModelConfig &c) { c.ropeScaling.factor = -1; }),
              HasSubstr("factor of the RoPE scaling"));
  EXPECT_THAT(error([](ModelConfig &c) {
                c.ropeScaling.kind = RopeScaling::Kind::Llama3;
              }),
              HasSubstr("contradict each other"));
  EXPECT_EQ(error([](ModelConfig &c) { c.bosId = 32; }),
            "the BOS token 32 is not in the vocabulary of 32");
  EXPECT_EQ(error([](ModelConfig &c) { c.eosIds = {2, -1}; }),
            "the EOS token -1 is not in the vocabulary of 32");
}
