//===- ProductsTest.cpp ---------------------------------------------------===//

#include "odyssey/Reference/Products.h"

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/ModelConfig.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

using namespace odyssey;
using namespace odyssey::reference;
using ::testing::Each;
using ::testing::ElementsAre;

TEST(QuantizeToken, Values) {
  std::vector<int8_t> q(6);
  // 127 / 254 = 0.5, so ties show.
  EXPECT_EQ(quantizeToken(std::vector<float>{254, -254, 1, 3, -3, 5}, q), 2.0f);
  EXPECT_THAT(q, ElementsAre(127, -127, 0, 2, -2, 2));
}

TEST(QuantizeToken, Zeros) {
  std::vector<int8_t> q(3, 9);
  EXPECT_EQ(quantizeToken(std::vector<float>{0, -0.0f, 0}, q), 0.0f);
  EXPECT_THAT(q, Each(0));
}

TEST(QuantizeToken, NeverBeyond127) {
  // a * (127 / a) may round to more than 127.
  std::mt19937 random(1);
  std::vector<int8_t> q(1);
  for (int i = 0; i < 100000; ++i) {
    std::vector<float> x = {std::ldexp(static_cast<float>(random() >> 8), -20)};
    quantizeToken(x, q);
    ASSERT_EQ(q[0], x[0] == 0 ? 0 : 127);
  }
}

namespace {

struct ProductCase {
  int64_t m, n, k, groupSize = 0, bits = 4;
};

class W4A8Product : public ::testing::TestWithParam<ProductCase> {
protected:
  /// The definition, one output at a time in 64-bit integers.
  static uint16_t expected(const Matrix &x, const W4A8Linear &linear, int64_t m,
                           int64_t n) {
    std::vector<int8_t> q(x.columns);
    float tokenScale = quantizeToken(x.row(m), q);
    int64_t sum = 0;
    int64_t size = linear.format.groupSize;
    int one = linear.format.bits == 8 ? 1 : 16;
    int64_t groups = size ? (linear.k + size - 1) / size : 0;
    for (int64_t k = 0; k < linear.k; ++k) {
      int factor = size ? linear.multiplier[n * groups + k / size] : one;
      sum += int64_t(q[k]) * (factor * linear.weight[n * linear.k + k]);
    }
    EXPECT_LT(std::abs(sum), int64_t(1) << 31);
    float scale = linear.scale[n] / (size ? 1.0f : static_cast<float>(one));
    float value = static_cast<float>(sum) * scale;
    return floatToHalf(value * tokenScale);
  }
};

} // namespace

TEST_P(W4A8Product, EqualsTheDefinition) {
  auto [m, n, k, groupSize, bits] = GetParam();
  std::mt19937 random(k);
  Matrix x(m, k);
  for (float &value : x.values)
    value = roundToHalf(static_cast<float>(random() % 2001) / 100 - 10);
  std::vector<int8_t> weight(n * k);
  for (int8_t &value : weight)
    value = bits == 8 ? static_cast<int8_t>(random() % 255 - 127)
                      : static_cast<int8_t>(random() % 16) - 8;
  std::vector<float> scale(n);
  for (float &value : scale)
    value = static_cast<float>(random() % 1000) / 1e5f;
  std::vector<uint8_t> multiplier;
  if (groupSize)
    multiplier.resize(n * ((k + groupSize - 1) / groupSize));
  for (uint8_t &value : multiplier)
    value = static_cast<uint8_t>(random() % 16);
  W4A8Linear linear{n,           k,
                    weight,      scale,
                    /*bias=*/{}, {bits, groupSize},
                    multiplier};
  Matrix y = multiplyW4A8(x, linear, 2);
  ASSERT_EQ(y.rows, m);
  ASSERT_EQ(y.columns, n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      ASSERT_EQ(floatToHalf(y.row(i)[j]), expected(x, linear, i, j))
          << i << ", " << j;
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, W4A8Product,
    ::testing::Values(ProductCase{1, 1, 1}, ProductCase{1, 64, 172},
                      ProductCase{5, 7, 31}, ProductCase{3, 48, 576},
                      ProductCase{17, 100, 65}, ProductCase{2, 3, 11008},
                      ProductCase{3, 40, 172, 32}, ProductCase{1, 7, 65, 64},
                      ProductCase{5, 48, 576, 128}, ProductCase{2, 3, 31, 64},
                      ProductCase{1, 1, 1, 0, 8}, ProductCase{5, 7, 31, 0, 8},
                      ProductCase{17, 100, 65, 0, 8},
                      ProductCase{2, 3, 11008, 0, 8}));

TEST(W4A8Product, LargestAccumulator) {
  // The worst case of the longest K: every product is -127 * 128.
  int64_t k = maxReductionSize;
  Matrix x(1, k);
  std::ranges::fill(x.values, 1.0f);
  std::vector<int8_t> weight(k, -8);
  std::vector<float> scale = {0x1p-14f};
  Matrix y = multiplyW4A8(x, {1, k, weight, scale}, 1);
  float accumulator = static_cast<float>(-int64_t(127) * 128 * k);
  EXPECT_EQ(y.values[0], roundToHalf(accumulator * 0x1p-18f * (1.0f / 127.0f)));
}

/// Of 8 bits: every product is -127 * 127.
TEST(W4A8Product, LargestAccumulatorOfEightBits) {
  odyssey::layout::WeightFormat format{.bits = 8};
  int64_t k = format.maxK();
  EXPECT_LT(int64_t(127) * 127 * k, int64_t(1) << 31);
  EXPECT_GE(int64_t(127) * 127 * (k + 1), int64_t(1) << 31);
  Matrix x(1, k);
  std::ranges::fill(x.values, 1.0f);
  std::vector<int8_t> weight(k, -127);
  std::vector<float> scale = {0x1p-18f};
  Matrix y = multiplyW4A8(x, {1, k, weight, scale, {}, format}, 1);
  float accumulator = static_cast<float>(-int64_t(127) * 127 * k);
  EXPECT_EQ(y.values[0], roundToHalf(accumulator * 0x1p-18f * (1.0f / 127.0f)));
}

TEST(W4A8Product, ZeroTokenAndZeroChannel) {
  Matrix x(2, 2);
  x.values = {0, 0, 1, 2};
  std::vector<int8_t> weight = {1, 2, 0, 0};
  std::vector<float> scale = {1.0f, 0.0f};
  Matrix y = multiplyW4A8(x, {2, 2, weight, scale}, 1);
  EXPECT_THAT(y.values, ElementsAre(0, 0, ::testing::FloatNear(5, 0.02), 0));
}

TEST(Multiply, MatchesDoubles) {
  std::mt19937 random(5);
  Matrix x(7, 50);
  std::vector<float> weight(33 * 50);
  for (auto *values : {&x.values, &weight})
    for (float &value : *values)
      value = static_cast<float>(random() % 2001) / 1000 - 1;
  Matrix y = multiply(x, weight, 33, 2);
  for (int64_t m = 0; m < 7; ++m)
    for (int64_t n = 0; n < 33; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < 50; ++k)
        sum += double(x.row(m)[k]) * weight[n * 50 + k];
      EXPECT_NEAR(y.row(m)[n], sum, 1e-5);
    }
}
