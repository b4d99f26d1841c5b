//===- ComparisonTest.cpp -------------------------------------------------===//

#include "odyssey/Reference/Comparison.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey::reference;

namespace {

/// A model of two tokens that gives token 0 the probability `zero` after token
/// 0 and `one` after token 1.
SequenceLogits pairModel(double zero, double one) {
  return [=](std::span<const int32_t> tokens,
             int64_t first) -> std::optional<Matrix> {
    Matrix logits(static_cast<int64_t>(tokens.size()) - first, 2);
    for (int64_t i = 0; i < logits.rows; ++i) {
      double p = tokens[first + i] == 0 ? zero : one;
      logits.row(i)[0] = static_cast<float>(std::log(p) - 3);
      logits.row(i)[1] = static_cast<float>(std::log(1 - p) - 3);
    }
    return logits;
  };
}

double klOfPairs(double p, double q) {
  return p * std::log(p / q) + (1 - p) * std::log((1 - p) / (1 - q));
}

} // namespace

TEST(Comparison, Divergence) {
  std::vector<float> a = {1, 2, 3}, shifted = {101, 102, 103};
  EXPECT_NEAR(divergence(a, shifted), 0, 1e-6);
  std::vector<float> certain = {0, -1000}, even = {7, 7};
  EXPECT_NEAR(divergence(certain, even), std::log(2), 1e-9);
  EXPECT_NEAR(divergence(even, certain), 500 - std::log(2), 1e-3);
}

TEST(Comparison, LikeliestToken) {
  EXPECT_EQ(likeliestToken(std::vector<float>{-3, 5, 5, 1}), 1);
}

TEST(Comparison, TwoModels) {
  SequenceLogits a = pairModel(0.75, 0.4), b = pairModel(0.5625, 0.6);
  std::vector<int32_t> tokens = {0, 1, 1, 0, 0};
  ComparisonResult result = compareModels(a, b, tokens);
  // Predicted after 0: 1 and 0; after 1: 1 and 0.
  EXPECT_EQ(result.a.tokens, 4);
  EXPECT_EQ(result.b.tokens, 4);
  EXPECT_NEAR(result.a.loss, -std::log(0.25 * 0.6 * 0.4 * 0.75), 1e-6);
  EXPECT_NEAR(result.b.loss, -std::log(0.4375 * 0.4 * 0.6 * 0.5625), 1e-6);
  double after0 = klOfPairs(0.75, 0.5625), after1 = klOfPairs(0.4, 0.6);
  EXPECT_NEAR(result.meanDivergence(), (after0 + after1) / 2, 1e-6);
  ASSERT_LT(after0, after1);
  EXPECT_NEAR(result.divergenceQuantile(0), after0, 1e-6);
  EXPECT_NEAR(result.divergenceQuantile(0.3), after0, 1e-6);
  EXPECT_NEAR(result.divergenceQuantile(0.6), after1, 1e-6);
  EXPECT_NEAR(result.divergenceQuantile(1), after1, 1e-6);
  EXPECT_EQ(result.agreement(), 0.5);
}

TEST(Comparison, OfAModelWithItself) {
  SequenceLogits model = pairModel(0.1, 0.9);
  std::vector<int32_t> tokens = {0, 1, 0, 0, 1, 1, 0};
  ComparisonResult result = compareModels(model, model, tokens);
  EXPECT_EQ(result.a.loss, result.b.loss);
  EXPECT_EQ(result.meanDivergence(), 0);
  EXPECT_EQ(result.agreement(), 1);
}

TEST(Comparison, FailureOfEitherStops) {
  SequenceLogits model = pairModel(0.1, 0.9);
  SequenceLogits broken = [](auto, int64_t) { return std::nullopt; };
  std::vector<int32_t> tokens = {0, 1, 0};
  EXPECT_EQ(compareModels(model, broken, tokens).b.tokens, 0);
  EXPECT_EQ(compareModels(broken, model, tokens).a.tokens, 0);
}
