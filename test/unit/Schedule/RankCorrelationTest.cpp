//===- RankCorrelationTest.cpp --------------------------------------------===//

#include "odyssey/Schedule/RankCorrelation.h"

#include "gtest/gtest.h"

using odyssey::spearman;

TEST(RankCorrelation, IsOneForTheSameOrder) {
  EXPECT_DOUBLE_EQ(spearman({1, 2, 3, 4}, {10, 20, 1000, 1001}), 1);
}

TEST(RankCorrelation, IsMinusOneForTheReverse) {
  EXPECT_DOUBLE_EQ(spearman({1, 2, 3}, {3, 2, 1}), -1);
}

// 1 - 6 sum(d^2) / (n (n^2 - 1)) with ranks 0 1 2 3 4 against 1 0 3 2 4.
TEST(RankCorrelation, IsTheFormulaOfSpearman) {
  EXPECT_DOUBLE_EQ(spearman({1, 2, 3, 4, 5}, {2, 1, 4, 3, 5}), 0.8);
}

// The two equal values share rank 0.5.
TEST(RankCorrelation, EqualValuesShareTheirRank) {
  EXPECT_NEAR(spearman({7, 7, 9}, {1, 2, 3}), 0.8660254, 1e-6);
}

TEST(RankCorrelation, IsZeroWithoutAnOrder) {
  EXPECT_EQ(spearman({5, 5}, {1, 2}), 0);
  EXPECT_EQ(spearman({1}, {1}), 0);
  EXPECT_EQ(spearman({}, {}), 0);
}
