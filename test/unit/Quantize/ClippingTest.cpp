//===- ClippingTest.cpp ---------------------------------------------------===//

#include "odyssey/Quantize/Clipping.h"

#include "QuantizeTestData.h"
#include "odyssey/Quantize/RoundToNearest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::Each;

static double total(const std::vector<double> &values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// The loss of one channel, rounded to nearest.
static double lossOf(std::span<const float> channel, float scale,
                     const InputStatistics &statistics) {
  std::vector<int8_t> quantized(channel.size());
  quantizeChannel(channel, scale, quantized);
  return outputError(channel, quantized, scale, statistics);
}

namespace {

class ClippingTest : public ::testing::Test {
protected:
  std::span<const float> channel(int64_t index) const {
    return std::span(weight).subspan(index * k, k);
  }

  static constexpr int64_t n = 70, k = 150;
  std::vector<float> weight = randomWeights(n, k);
  InputStatistics statistics = correlatedStatistics(k, 500);
};

} // namespace

TEST_F(ClippingTest, NeverEndsAboveItsStart) {
  Clipping clipping = learnClipping(weight, n, statistics, 1);
  for (int64_t i = 0; i < n; ++i) {
    EXPECT_LE(clipping.lossOfGrid[i], clipping.lossAtStart[i]);
    EXPECT_LE(clipping.loss[i], clipping.lossOfGrid[i]);
  }
  EXPECT_LT(total(clipping.loss), 0.8 * total(clipping.lossAtStart));
  // The descent is there for a reason.
  EXPECT_LT(total(clipping.loss), 0.99 * total(clipping.lossOfGrid));
}

TEST_F(ClippingTest, LossesAreWhatTheyAreCalled) {
  Clipping clipping = learnClipping(weight, n, statistics, 1);
  for (int64_t i = 0; i < n; ++i) {
    float start = channelScale(channel(i));
    EXPECT_EQ(clipping.scale[i], clipping.factor[i] * start);
    double atStart = lossOf(channel(i), start, statistics);
    EXPECT_NEAR(clipping.lossAtStart[i], atStart, 1e-9 * atStart);
    double loss = lossOf(channel(i), clipping.scale[i], statistics);
    EXPECT_NEAR(clipping.loss[i], loss, 1e-9 * atStart);
    EXPECT_LE(loss, atStart);
    EXPECT_NEAR(clipping.lossOfZeros[i], lossOf(channel(i), 0, statistics),
                1e-9 * clipping.lossOfZeros[i]);
  }
}

TEST_F(ClippingTest, FindsAnOutlierToGiveUp) {
  // A large weight on an input that is always zero only makes steps coarse.
  reference::Matrix inputs = correlatedInputs(k, 500);
  for (int64_t t = 0; t < inputs.rows; ++t)
    inputs.row(t)[9] = 0;
  statistics = InputStatistics(k);
  statistics.add(inputs, {}, 1);
  float largest = *std::ranges::max_element(channel(0));
  weight[9] = 3 * largest;
  Clipping clipping = learnClipping(weight, n, statistics, 1);
  EXPECT_LT(clipping.factor[0], 0.4f);
  EXPECT_LT(clipping.loss[0], 0.3 * clipping.lossAtStart[0]);
}

TEST_F(ClippingTest, ThreadsDoNotMatter) {
  Clipping one = learnClipping(weight, n, statistics, 1);
  Clipping three = learnClipping(weight, n, statistics, 3);
  EXPECT_EQ(one.scale, three.scale);
  EXPECT_EQ(one.loss, three.loss);
}

TEST_F(ClippingTest, ChannelOfZeros) {
  std::fill_n(weight.begin() + 5 * k, k, 0.0f);
  Clipping clipping = learnClipping(weight, n, statistics, 1);
  EXPECT_EQ(clipping.scale[5], 0);
  EXPECT_EQ(clipping.factor[5], 1);
  EXPECT_EQ(clipping.loss[5], 0);
  EXPECT_GT(clipping.scale[6], 0);
}

TEST_F(ClippingTest, InputsOfZeros) {
  Clipping clipping = learnClipping(weight, n, InputStatistics(k), 1);
  EXPECT_THAT(clipping.factor, Each(1.0f));
  EXPECT_THAT(clipping.loss, Each(0.0));
}
