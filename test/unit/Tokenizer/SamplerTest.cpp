//===- SamplerTest.cpp - Choosing the next token --------------------------===//
//
// Options, ties, cut-offs, the distribution of the draws, and draws that must
// never change.
//
//===----------------------------------------------------------------------===//

#include "odyssey/runtime/Sampler.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <map>

using namespace odyssey::runtime;
using testing::HasSubstr;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Sampler makeSampler(const SamplerOptions &options) {
  Result<Sampler> sampler = Sampler::create(options);
  EXPECT_TRUE(sampler.ok()) << sampler.status().message();
  return *sampler;
}

std::vector<int32_t> draw(const SamplerOptions &options,
                          const std::vector<float> &logits, int count) {
  Sampler sampler = makeSampler(options);
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) {
    Result<int32_t> token = sampler.sample(logits);
    EXPECT_TRUE(token.ok()) << token.status().message();
    tokens.push_back(token.ok() ? *token : -1);
  }
  return tokens;
}

/// How often each token comes in many draws, as a share.
std::map<int32_t, double> shares(const SamplerOptions &options,
                                 const std::vector<float> &logits) {
  constexpr int kDraws = 200000;
  std::map<int32_t, double> counts;
  for (int32_t token : draw(options, logits, kDraws))
    counts[token] += 1.0 / kDraws;
  return counts;
}

/// Five standard deviations of a share in 200000 draws are at most 0.0056.
constexpr double kTolerance = 0.006;

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, -1.0f, 0.5f, 2.5f};

TEST(Sampler, GreedyTakesTheLowestOfTheBest) {
  EXPECT_EQ(draw({}, {1, 3, 2, 3}, 1).front(), 1);
  EXPECT_EQ(draw({}, {-kInfinity, -5, -kInfinity}, 1).front(), 1);
  EXPECT_EQ(draw({}, {0.0f, -0.0f}, 1).front(), 0);
}

TEST(Sampler, TopOneIsGreedyAtAnyTemperature) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_EQ(draw({.temperature = 5, .topK = 1, .seed = seed}, {1, 3, 2, 3}, 1)
                  .front(),
              1);
    EXPECT_EQ(
        draw({.temperature = 5, .topP = 1e-6f, .seed = seed}, {1, 3, 2, 3}, 1)
            .front(),
        1);
  }
}

TEST(Sampler, FollowsTheSoftmax) {
  for (float temperature : {0.5f, 1.0f, 2.0f}) {
    double total = 0;
    for (float logit : kLogits)
      total += std::exp(logit / temperature);
    std::map<int32_t, double> found =
        shares({.temperature = temperature, .seed = 1}, kLogits);
    for (size_t i = 0; i < kLogits.size(); ++i)
      EXPECT_NEAR(found[static_cast<int32_t>(i)],
                  std::exp(kLogits[i] / temperature) / total, kTolerance)
          << "token " << i << " at " << temperature;
  }
}

TEST(Sampler, TopKKeepsTheBestWithLowIdsFirst) {
  std::map<int32_t, double> found =
      shares({.temperature = 1, .topK = 3, .seed = 2}, {2, 3, 2, 3, 2});
  ASSERT_EQ(found.size(), 3u);
  double total = 2 * std::exp(1.0) + 1;
  EXPECT_NEAR(found[1], std::exp(1.0) / total, kTolerance);
  EXPECT_NEAR(found[3], std::exp(1.0) / total, kTolerance);
  EXPECT_NEAR(found[0], 1 / total, kTolerance);
}

TEST(Sampler, TopPKeepsTheSmallestSet) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  std::vector<float> logits = {std::log(0.125f), std::log(0.5f),
                               std::log(0.125f), std::log(0.25f)};
  auto support = [&](float topP) {
    std::vector<int32_t> tokens;
    for (auto [token, share] :
         shares({.temperature = 1, .topP = topP, .seed = 3}, logits))
      tokens.push_back(token);
    return tokens;
  };
  EXPECT_EQ(support(0.4f), (std::vector<int32_t>{1}));
  EXPECT_EQ(support(0.6f), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(support(0.8f), (std::vector<int32_t>{0, 1, 3}));
  EXPECT_EQ(support(0.9f), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(support(1.0f), (std::vector<int32_t>{0, 1, 2, 3}));
}

TEST(Sampler, TopPRefersToWhatTopKLeaves) {
  // Of 0.5 and 0.25, which are 2/3 and 1/3 of what is left.
  std::vector<float> logits = {std::log(0.25f), std::log(0.5f),
                               std::log(0.125f), std::log(0.125f)};
  EXPECT_EQ(
      shares({.temperature = 1, .topK = 2, .topP = 0.6f, .seed = 4}, logits)
          .size(),
      1u);
  EXPECT_EQ(
      shares({.temperature = 1, .topK = 2, .topP = 0.7f, .seed = 4}, logits)
          .size(),
      2u);
}

TEST(Sampler, NeverTakesExcludedTokens) {
  for (auto [token, share] :
       shares({.temperature = 100, .seed = 5}, {1, -kInfinity, 1, -kInfinity}))
    EXPECT_TRUE(token == 0 || token == 2);
}

TEST(Sampler, StandsExtremeValues) {
  float largest = std::numeric_limits<float>::max();
  float tiny = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(draw({.temperature = tiny}, {1, 2}, 1).front(), 1);
  EXPECT_EQ(draw({.temperature = 1}, {-largest, largest}, 1).front(), 1);
  EXPECT_EQ(shares({.temperature = largest}, {1, 2}).size(), 2u);
}

TEST(Sampler, ASeedGivesTheSameTokens) {
  SamplerOptions options = {
      .temperature = 1, .topK = 4, .topP = 0.9f, .seed = 42};
  EXPECT_EQ(draw(options, kLogits, 100), draw(options, kLogits, 100));
  SamplerOptions other = options;
  other.seed = 43;
  EXPECT_NE(draw(options, kLogits, 100), draw(other, kLogits, 100));
}

TEST(Sampler, TheNthDrawDependsOnlyOnSeedAndN) {
  SamplerOptions options = {.temperature = 1, .seed = 42};
  std::vector<int32_t> expected = draw(options, kLogits, 2);
  Sampler sampler = makeSampler(options);
  std::vector<float> others(1000, 0.0f);
  ASSERT_TRUE(sampler.sample(others).ok());
  // An error makes no draw.
  ASSERT_FALSE(sampler.sample({}).ok());
  EXPECT_EQ(*sampler.sample(kLogits), expected[1]);
}

/// With equal logits a draw shows the generator: the token is floor(u * n).
/// SplitMix64 with the seed 1234567 is known to begin with these numbers.
TEST(Sampler, DrawsAreThoseOfSplitMix64) {
  const uint64_t outputs[] = {6457827717110365317u, 3203168211198807973u,
                              9817491932198370423u, 4593380528125082431u,
                              16408922859458223821u};
  constexpr size_t kTokens = 4096;
  std::vector<int32_t> tokens = draw({.temperature = 1, .seed = 1234567},
                                     std::vector<float>(kTokens, 0.5f), 5);
  for (size_t i = 0; i < tokens.size(); ++i)
    EXPECT_EQ(tokens[i], static_cast<int32_t>(outputs[i] / (1ull << 52)));
}

/// If this fails, a seed no longer gives the tokens that it gave.
TEST(Sampler, GoldenDraws) {
  EXPECT_EQ(draw({.temperature = 1, .seed = 1}, kLogits, 20),
            (std::vector<int32_t>{2, 5, 5, 1, 1, 5, 5, 2, 1, 5,
                                  1, 2, 1, 2, 1, 1, 2, 5, 3, 5}));
  EXPECT_EQ(draw({.temperature = 0.8f, .topK = 4, .topP = 0.95f, .seed = 2},
                 kLogits, 20),
            (std::vector<int32_t>{5, 5, 5, 5, 1, 1, 5, 5, 1, 5,
                                  1, 1, 5, 1, 2, 1, 1, 1, 1, 1}));
}

TEST(Sampler, RefusesLogitsThatRankInNoOrder) {
  float nan = std::nanf("");
  for (float temperature : {0.0f, 1.0f}) {
    Sampler sampler = makeSampler({.temperature = temperature});
    auto error = [&](std::vector<float> logits) {
      Result<int32_t> token = sampler.sample(logits);
      EXPECT_FALSE(token.ok());
      EXPECT_EQ(token.status().code(), StatusCode::InvalidArgument);
      return token.status().message();
    };
    EXPECT_EQ(error({0, nan}), "logit 1 is not a number");
    EXPECT_EQ(error({0, 1, kInfinity}), "logit 2 is infinite");
    EXPECT_EQ(error({-kInfinity, -kInfinity}), "all logits are -inf");
    EXPECT_EQ(error({}), "0 logits");
  }
}

TEST(Sampler, RefusesOptionsOutOfRange) {
  auto error = [](const SamplerOptions &options) {
    Result<Sampler> sampler = Sampler::create(options);
    EXPECT_FALSE(sampler.ok());
    EXPECT_EQ(sampler.status().code(), StatusCode::InvalidArgument);
    return sampler.status().message();
  };
  EXPECT_THAT(error({.temperature = -1}), HasSubstr("temperature"));
  EXPECT_THAT(error({.temperature = std::nanf("")}), HasSubstr("temperature"));
  EXPECT_THAT(error({.temperature = kInfinity}), HasSubstr("temperature"));
  EXPECT_THAT(error({.topK = -1}), HasSubstr("top-k"));
  EXPECT_THAT(error({.topP = 0}), HasSubstr("top-p"));
  EXPECT_THAT(error({.topP = 1.5f}), HasSubstr("top-p"));
  EXPECT_THAT(error({.topP = std::nanf("")}), HasSubstr("top-p"));
}

} // namespace
