//===- RoundToNearestTest.cpp ---------------------------------------------===//

#include "odyssey/Quantize/RoundToNearest.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

using namespace odyssey;
using ::testing::Each;
using ::testing::ElementsAre;

static std::vector<int8_t> quantize(const std::vector<float> &channel,
                                    float scale, int64_t bits = 4) {
  std::vector<int8_t> quantized(channel.size());
  quantizeChannel(channel, scale, quantized, bits);
  return quantized;
}

TEST(RoundToNearest, TiesGoToEven) {
  EXPECT_THAT(quantize({0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 6.5f}, 1.0f),
              ElementsAre(0, 2, 2, 0, -2, -2, 6));
}

TEST(RoundToNearest, Clamps) {
  EXPECT_THAT(quantize({7.6f, 100.0f, 3e38f, -8.4f, -100.0f, -3e38f}, 1.0f),
              ElementsAre(7, 7, 7, -8, -8, -8));
}

TEST(RoundToNearest, LargestMagnitudeIsSeven) {
  std::vector<float> channel = {0.1f, -3.5f, 2.0f};
  float scale = channelScale(channel);
  EXPECT_EQ(scale, 0.5f);
  EXPECT_THAT(quantize(channel, scale), ElementsAre(0, -7, 4));
}

TEST(RoundToNearest, LargestMagnitudeOfEightBitsIs127) {
  std::vector<float> channel = {0.1f, -63.5f, 20.25f, 63.5f};
  float scale = channelScale(channel, 8);
  EXPECT_EQ(scale, 0.5f);
  EXPECT_THAT(quantize(channel, scale, 8), ElementsAre(0, -127, 40, 127));
  EXPECT_THAT(quantize({100.0f, -100.0f, 200.0f, -200.0f}, 1.0f, 8),
              ElementsAre(100, -100, 127, -127));
}

TEST(RoundToNearest, Zeros) {
  std::vector<float> channel = {0.0f, -0.0f, 0.0f};
  EXPECT_EQ(channelScale(channel), 0.0f);
  EXPECT_THAT(quantize(channel, 0.0f), Each(0));
}

TEST(RoundToNearest, TooSmallForAScale) {
  // The scale would be subnormal, and the sixteenth of it in the epilogue
  // would lose what it says.
  float smallest = std::numeric_limits<float>::min();
  std::vector<float> channel = {smallest, -smallest};
  EXPECT_EQ(channelScale(channel), 0.0f);
  EXPECT_THAT(quantize(channel, 0.0f), Each(0));
}

TEST(RoundToNearest, ErrorIsAtMostHalfAStep) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float magnitude : {1e-30f, 1e-3f, 1.0f, 1e30f})
    for (int64_t bits : {4, 8}) {
      std::vector<float> channel(1000);
      for (float &value : channel)
        value = magnitude * normal(random);
      float scale = channelScale(channel, bits);
      std::vector<int8_t> quantized = quantize(channel, scale, bits);
      for (size_t i = 0; i < channel.size(); ++i) {
        double exact = static_cast<double>(channel[i]) / scale;
        EXPECT_LE(std::abs(exact - quantized[i]), 0.5 + 1e-6);
        EXPECT_LE(std::abs(quantized[i]), bits == 8 ? 127 : 7);
        EXPECT_EQ(quantized[i], std::nearbyint(channel[i] / scale));
      }
    }
}
