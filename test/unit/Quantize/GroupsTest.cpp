//===- GroupsTest.cpp - Group multipliers, from rounding to GPTQ ----------===//

#include "odyssey/Quantize/Clipping.h"
#include "odyssey/Quantize/Gptq.h"
#include "odyssey/Quantize/GroupRounding.h"

#include "QuantizeTestData.h"
#include "odyssey/Quantize/RoundToNearest.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::Each;

static double total(const std::vector<double> &values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

namespace {

/// Groups whose sizes differ by up to 8, as those of real weights do by 2 or 3;
/// K ends with a short group.
class GroupsTest : public ::testing::TestWithParam<int64_t> {
protected:
  void SetUp() override {
    for (size_t i = 0; i < weight.size(); ++i)
      weight[i] *= std::exp2(static_cast<float>(i % k / 32 * 5 % 4));
  }

  std::span<const float> channel(int64_t c) const {
    return std::span(weight).subspan(c * k, k);
  }

  /// m_g q of channel `c`, rounded to nearest.
  std::vector<int8_t> rounded(int64_t c, float scale,
                              const std::vector<uint8_t> &multipliers) const {
    std::span<const uint8_t> own =
        std::span(multipliers).subspan(c * groups, groups);
    std::vector<int8_t> result(k);
    quantizeGroups(channel(c), scale, own, size, result);
    multiplyGroups(result, own, size);
    return result;
  }

  double squaredError(int64_t c, float scale,
                      const std::vector<int8_t> &integers) const {
    double sum = 0;
    for (int64_t i = 0; i < k; ++i)
      sum += std::pow(channel(c)[i] - double(scale) * integers[i], 2);
    return sum;
  }

  static constexpr int64_t n = 70, k = 330;
  int64_t size = GetParam();
  int64_t groups = (k + size - 1) / size;
  std::vector<float> weight = randomWeights(n, k);
  InputStatistics statistics = correlatedStatistics(k, 500);
};

} // namespace

TEST_P(GroupsTest, RoundingIsCloserThanWithOneScale) {
  GroupScales scales = chooseGroupScales(weight, n, size, 1);
  ASSERT_EQ(static_cast<int64_t>(scales.scale.size()), n);
  ASSERT_EQ(static_cast<int64_t>(scales.multiplier.size()), n * groups);
  double withGroups = 0, without = 0;
  std::vector<int8_t> plain(k);
  for (int64_t c = 0; c < n; ++c) {
    EXPECT_EQ(scales.scale[c], groupableScale(scales.scale[c]));
    withGroups += squaredError(c, scales.scale[c],
                               rounded(c, scales.scale[c], scales.multiplier));
    float scale = channelScale(channel(c));
    quantizeChannel(channel(c), scale, plain);
    without += squaredError(c, scale, plain);
  }
  for (uint8_t m : scales.multiplier) {
    EXPECT_GE(m, 1);
    EXPECT_LE(m, 15);
  }
  EXPECT_LT(withGroups, (size == 32 ? 0.4 : 0.8) * without);
}

/// No other multiplier of a group, and no other scale that was to be tried, is
/// closer by more than rounding.
TEST_P(GroupsTest, RoundingTakesTheBest) {
  GroupScales scales = chooseGroupScales(weight, n, size, 1);
  for (int64_t c = 0; c < n; c += 7) {
    double error = squaredError(c, scales.scale[c],
                                rounded(c, scales.scale[c], scales.multiplier));
    float largest = channelScale(channel(c));
    for (int top = 8; top <= 15; ++top) {
      std::vector<uint8_t> others = scales.multiplier;
      float scale = groupableScale(largest / static_cast<float>(top));
      for (int64_t g = 0; g < groups; ++g) {
        int64_t begin = g * size;
        float wanted =
            channelScale(channel(c).subspan(begin, std::min(size, k - begin)));
        others[c * groups + g] = static_cast<uint8_t>(
            std::clamp(std::ceil(wanted / scale), 1.0f, 15.0f));
      }
      EXPECT_LE(error,
                squaredError(c, scale, rounded(c, scale, others)) * (1 + 1e-4));
    }
  }
}

TEST_P(GroupsTest, WhatIsRepresentableIsKept) {
  // Weights that are S m q, with 7 in every group and 15 among the m.
  std::vector<uint8_t> multipliers(n * groups);
  float scale = groupableScale(0.0123f);
  for (int64_t c = 0; c < n; ++c)
    for (int64_t g = 0; g < groups; ++g) {
      int m = g == 0 ? 15 : static_cast<int>((c + 4 * g) % 15) + 1;
      multipliers[c * groups + g] = static_cast<uint8_t>(m);
      for (int64_t i = g * size; i < std::min(k, (g + 1) * size); ++i)
        weight[c * k + i] = scale * static_cast<float>(m * ((i * 5) % 15 - 7));
    }
  GroupScales found = chooseGroupScales(weight, n, size, 1);
  EXPECT_EQ(found.multiplier, multipliers);
  EXPECT_THAT(found.scale, Each(::testing::FloatNear(scale, 1e-6f)));
}

TEST_P(GroupsTest, Zeros) {
  std::fill_n(weight.begin() + 3 * k, k, 0.0f);
  std::fill_n(weight.begin() + 4 * k, size, 0.0f);
  GroupScales scales = chooseGroupScales(weight, n, size, 1);
  EXPECT_EQ(scales.scale[3], 0);
  EXPECT_GT(scales.scale[4], 0);
  EXPECT_THAT(rounded(3, scales.scale[3], scales.multiplier), Each(0));
  for (int64_t i = 0; i < size; ++i)
    EXPECT_EQ(rounded(4, scales.scale[4], scales.multiplier)[i], 0);
  Clipping clipping =
      learnClipping(weight, n, statistics, 1, {.groupSize = size});
  EXPECT_EQ(clipping.scale[3], 0);
  EXPECT_EQ(clipping.loss[3], 0);
}

TEST_P(GroupsTest, ClippingNeverEndsAboveItsStart) {
  Clipping clipping =
      learnClipping(weight, n, statistics, 1, {.groupSize = size});
  for (int64_t c = 0; c < n; ++c) {
    EXPECT_LE(clipping.lossOfGrid[c], clipping.lossAtStart[c] * (1 + 1e-9));
    EXPECT_LE(clipping.loss[c], clipping.lossOfGrid[c] * (1 + 1e-9));
  }
  EXPECT_LT(total(clipping.loss), 0.8 * total(clipping.lossAtStart));
  EXPECT_LT(total(clipping.loss), 0.95 * total(clipping.lossOfGrid));
  Clipping without = learnClipping(weight, n, statistics, 1);
  EXPECT_LT(total(clipping.loss), 0.8 * total(without.loss));
}

TEST_P(GroupsTest, ClippingLossesAreWhatTheyAreCalled) {
  Clipping clipping =
      learnClipping(weight, n, statistics, 1, {.groupSize = size});
  GroupScales start = chooseGroupScales(weight, n, size, 1);
  for (int64_t c = 0; c < n; c += 5) {
    double atStart =
        outputError(channel(c), rounded(c, start.scale[c], start.multiplier),
                    start.scale[c], statistics);
    EXPECT_NEAR(clipping.lossAtStart[c], atStart, 1e-9 * atStart);
    EXPECT_EQ(clipping.scale[c],
              groupableScale(clipping.factor[c] * start.scale[c]));
    double loss = outputError(
        channel(c), rounded(c, clipping.scale[c], clipping.multiplier),
        clipping.scale[c], statistics);
    EXPECT_NEAR(clipping.loss[c], loss, 1e-9 * atStart);
  }
  for (uint8_t m : clipping.multiplier) {
    EXPECT_GE(m, 1);
    EXPECT_LE(m, 15);
  }
}

TEST_P(GroupsTest, ThreadsDoNotMatter) {
  Clipping one = learnClipping(weight, n, statistics, 1, {.groupSize = size});
  Clipping three = learnClipping(weight, n, statistics, 3, {.groupSize = size});
  EXPECT_EQ(one.scale, three.scale);
  EXPECT_EQ(one.multiplier, three.multiplier);
  EXPECT_EQ(one.loss, three.loss);
}

/// Compensation with groups is compensation of weights over their multipliers:
/// with a = w / m and X m for the inputs, every channel has one scale again.
/// Multipliers are the same for all channels here, so that one H serves them.
TEST_P(GroupsTest, CompensationIsThatOfScaledInputs) {
  std::vector<uint8_t> ofGroups(groups), multipliers;
  for (int64_t g = 0; g < groups; ++g)
    ofGroups[g] = static_cast<uint8_t>(1 << g % 4);
  for (int64_t c = 0; c < n; ++c)
    multipliers.insert(multipliers.end(), ofGroups.begin(), ofGroups.end());
  auto of = [&](int64_t i) { return static_cast<float>(ofGroups[i / size]); };
  std::vector<float> scaled = weight, scale(n);
  for (size_t i = 0; i < scaled.size(); ++i)
    scaled[i] /= of(static_cast<int64_t>(i) % k);
  reference::Matrix inputs = correlatedInputs(k, 500);
  for (int64_t t = 0; t < inputs.rows; ++t)
    for (int64_t i = 0; i < k; ++i)
      inputs.row(t)[i] *= of(i);
  InputStatistics scaledStatistics(k);
  scaledStatistics.add(inputs, {}, 1);
  for (int64_t c = 0; c < n; ++c)
    scale[c] =
        groupableScale(channelScale(std::span(scaled).subspan(c * k, k)));

  // Neither damping nor the order of activations would be the same for both.
  GptqOptions options{.activationOrder = false, .damping = 0};
  GptqSolver solver =
      llvm::cantFail(GptqSolver::create(statistics, options, 1));
  GptqSolver other =
      llvm::cantFail(GptqSolver::create(scaledStatistics, options, 1));
  CompensatedWeights grouped =
      solver.quantize(weight, scale, {{1.0f}}, 1, multipliers, size);
  CompensatedWeights expected = other.quantize(scaled, scale, {{1.0f}}, 1);
  EXPECT_EQ(grouped.multipliers, multipliers);
  EXPECT_EQ(grouped.scales, scale);
  EXPECT_EQ(grouped.integers, expected.integers);
  EXPECT_NEAR(total(grouped.losses), total(expected.losses),
              1e-6 * total(expected.losses));
}

TEST_P(GroupsTest, CompensationLossesAreWhatTheyAreCalled) {
  Clipping clipping =
      learnClipping(weight, n, statistics, 1, {.groupSize = size});
  for (bool activationOrder : {false, true}) {
    GptqOptions options{.activationOrder = activationOrder};
    GptqSolver solver =
        llvm::cantFail(GptqSolver::create(statistics, options, 1));
    CompensatedWeights result =
        solver.quantize(weight, clipping.scale, {{1.0f, 0.9f, 1.1f}}, 1,
                        clipping.multiplier, size);
    double sum = 0;
    for (int64_t c = 0; c < n; ++c) {
      EXPECT_EQ(result.scales[c], groupableScale(result.scales[c]));
      std::vector<int8_t> integers(result.integers.begin() + c * k,
                                   result.integers.begin() + (c + 1) * k);
      multiplyGroups(integers,
                     std::span(result.multipliers).subspan(c * groups, groups),
                     size);
      sum += outputError(channel(c), integers, result.scales[c], statistics);
    }
    EXPECT_NEAR(total(result.losses), sum, 1e-6 * sum);
    EXPECT_LT(sum, 0.8 * total(clipping.loss));
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, GroupsTest, ::testing::Values(32, 64, 128));
