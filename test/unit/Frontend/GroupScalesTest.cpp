//===- GroupScalesTest.cpp - Scales of groups as multiples of one ---------===//

#include "odyssey/Frontend/Checkpoint/GroupScales.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>
#include <random>

using namespace odyssey;
using ::testing::Each;
using ::testing::ElementsAre;

TEST(GroupableScale, ItsMultiplesAreExact) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    float scale = std::ldexp(static_cast<float>(random() >> 8) + 1,
                             static_cast<int>(random() % 80) - 60);
    float rounded = groupableScale(scale);
    EXPECT_LE(std::fabs(rounded - scale), std::ldexp(scale, -20));
    for (int m = 1; m <= 15; ++m)
      ASSERT_EQ(static_cast<double>(rounded) * m,
                static_cast<double>(rounded * static_cast<float>(m)));
  }
}

TEST(GroupableScale, TooSmallOrTooLargeIsZero) {
  constexpr float smallest = std::numeric_limits<float>::min();
  EXPECT_EQ(groupableScale(0), 0.0f);
  EXPECT_EQ(groupableScale(smallest), smallest);
  EXPECT_EQ(groupableScale(smallest / 2), 0.0f);
  EXPECT_EQ(groupableScale(std::numeric_limits<float>::max() / 8), 0.0f);
  EXPECT_NE(groupableScale(std::numeric_limits<float>::max() / 16), 0.0f);
}

TEST(FactorizeScales, GivesBackWhatWasMultiplied) {
  std::mt19937 random(2);
  for (int i = 0; i < 5000; ++i) {
    float scale =
        groupableScale(static_cast<float>(random() % 100000 + 1) / 1.7e6f);
    std::vector<uint8_t> multipliers(1 + random() % 24), found;
    for (uint8_t &m : multipliers)
      m = static_cast<uint8_t>(random() % 16);
    std::vector<float> scales;
    int divisor = 0;
    for (uint8_t m : multipliers) {
      scales.push_back(scale * static_cast<float>(m));
      divisor = std::gcd(divisor, m);
    }
    found.resize(scales.size());
    std::optional<float> result = factorizeScales(scales, found);
    ASSERT_TRUE(result.has_value());
    // What all have in common goes into the scale.
    EXPECT_EQ(*result, scale * static_cast<float>(divisor));
    for (size_t g = 0; g < found.size(); ++g)
      EXPECT_EQ(found[g] * divisor, multipliers[g]);
  }
}

TEST(FactorizeScales, Zeros) {
  std::vector<uint8_t> found(3, 9);
  EXPECT_EQ(factorizeScales(std::vector<float>{0, 0, 0}, found), 0.0f);
  EXPECT_THAT(found, Each(0));
  EXPECT_EQ(factorizeScales(std::vector<float>{0, 3, 6}, found), 3.0f);
  EXPECT_THAT(found, ElementsAre(0, 1, 2));
}

TEST(FactorizeScales, RefusesWhatHasNoCommonMeasure) {
  std::vector<uint8_t> found(2);
  // One unit in the last place away from twice the other.
  EXPECT_FALSE(factorizeScales(
      std::vector<float>{1, std::nextafter(2.0f, 3.0f)}, found));
  EXPECT_FALSE(factorizeScales(std::vector<float>{1, 16}, found));
  EXPECT_FALSE(factorizeScales(std::vector<float>{15, 16}, found));
  EXPECT_TRUE(factorizeScales(std::vector<float>{14, 15}, found));
}
