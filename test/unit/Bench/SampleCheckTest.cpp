//===- SampleCheckTest.cpp - The check of W4A8 products sees errors -------===//

#include "SampleCheck.h"

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Layout/PackedMultipliers.h"
#include "odyssey/Layout/PackedWeights.h"
#include "odyssey/runtime/Emulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;
using ::testing::HasSubstr;

namespace {

/// y = x w^T with every operand there is, computed from unpacked weights; the
/// parameter is the width and the groups of the weights.
class FormatSampleCheckTest
    : public ::testing::TestWithParam<layout::WeightFormat> {};

TEST_P(FormatSampleCheckTest, ComparesProductsBitForBit) {
  constexpr int64_t kM = 3, kN = 70, kK = 72;
  auto device = std::move(createEmulator()).value();
  ProductPlan product;
  product.n = kN;
  product.k = kK;
  product.panelChannels = 64;
  product.weightBits = GetParam().bits;
  product.groupSize = GetParam().groupSize;
  layout::PackedWeights packed{kN, kK, product.panelChannels,
                               product.groupSize ? 8 : 0, product.weightBits};
  // The matrix is not at the beginning of its buffer.
  constexpr size_t kOffset = 512;
  PatternBuffer weights(*device);
  ASSERT_TRUE(weights
                  .reserve(kOffset + static_cast<size_t>(packed.bytes()),
                           randomBytes(1000, 1), "weights")
                  .ok());
  std::vector<uint8_t> bytes;
  for (int64_t i = 0; i < packed.bytes(); ++i)
    bytes.push_back(weights.byte(kOffset + static_cast<size_t>(i)));
  std::vector<int8_t> unpacked = layout::unpackWeights(packed, bytes);

  // Multipliers 0 to 15 of the groups; without groups, 16, or 1 of 8 bits.
  int factor = product.weightBits == 8 ? 1 : 16;
  std::vector<uint8_t> multipliers, packedGroups;
  int64_t groups = 1, groupSize = kK;
  if (product.groupSize == 0) {
    multipliers.assign(kN, static_cast<uint8_t>(factor));
  } else {
    groupSize = product.groupSize;
    groups = layout::groupCount(kK, groupSize);
    multipliers = randomBytes(static_cast<size_t>(kN * groups), 7);
    for (uint8_t &multiplier : multipliers)
      multiplier &= 0xf;
    packedGroups = layout::packMultipliers(
        {kN, groups, groupSize, product.panelChannels}, multipliers);
  }

  auto x = randomBytes(kM * kK, 2), bias = randomHalves(kN, 3),
       residual = randomHalves(kM * kN, 4);
  auto xScales = randomFloats(kM, 0.001f, 0.01f, 5),
       weightScales = randomFloats(kN, 0.001f, 0.01f, 6);
  auto half = [](const std::vector<uint8_t> &values, int64_t i) {
    size_t at = 2 * static_cast<size_t>(i);
    return halfToFloat(static_cast<uint16_t>(values[at] | values[at + 1] << 8));
  };
  std::vector<uint16_t> y;
  for (int64_t m = 0; m < kM; ++m)
    for (int64_t n = 0; n < kN; ++n) {
      int32_t sum = 0;
      for (int64_t k = 0; k < kK; ++k)
        sum += static_cast<int8_t>(x[static_cast<size_t>(m * kK + k)]) *
               multipliers[static_cast<size_t>(n * groups + k / groupSize)] *
               unpacked[static_cast<size_t>(n * kK + k)];
      float value = static_cast<float>(sum) *
                    (weightScales[static_cast<size_t>(n)] /
                     (product.groupSize ? 1.0f : static_cast<float>(factor)));
      value = value * xScales[static_cast<size_t>(m)];
      value = value + half(bias, n);
      y.push_back(floatToHalf(roundToHalf(value) + half(residual, m * kN + n)));
    }
  auto result = device->allocate(y.size() * 2, "result");
  ASSERT_TRUE(result.ok());
  HostOperands operands{kM,
                        kN,
                        kK,
                        &x,
                        nullptr,
                        &xScales,
                        &weightScales,
                        &bias,
                        &residual,
                        product.groupSize ? &packedGroups : nullptr,
                        &weights,
                        kOffset};
  auto check = [&] {
    EXPECT_TRUE(device->copyToDevice(*result, y.data(), y.size() * 2).ok());
    return checkProduct(*device, operands, product, *result);
  };
  auto good = check();
  ASSERT_TRUE(good.ok()) << good.status().message();
  EXPECT_EQ(*good, kM * 64);

  // The last bit of the last output.
  y.back() ^= 1;
  EXPECT_THAT(check().status().message(),
              HasSubstr("wrong result for token 2, channel 69: expected fp16"));
  y.back() ^= 1;
  // A scale that another token has.
  std::swap(xScales[0], xScales[1]);
  EXPECT_FALSE(check().ok());
}

INSTANTIATE_TEST_SUITE_P(Formats, FormatSampleCheckTest,
                         ::testing::Values(layout::WeightFormat{4},
                                           layout::WeightFormat{4, 32},
                                           layout::WeightFormat{4, 64},
                                           layout::WeightFormat{8}),
                         [](const auto &info) {
                           return "i" + std::to_string(info.param.bits) + "g" +
                                  std::to_string(info.param.groupSize);
                         });

/// SiLU(gate) * up with an exponential in double precision, which is within
/// half a unit of fp16 of that of docs/numerics.md but where it is near a tie.
TEST(SampleCheckTest, ComparesActivationsOfGateAndUp) {
  constexpr int64_t kM = 2, kOutputs = 34, kN = 2 * kOutputs, kK = 64;
  auto device = std::move(createEmulator()).value();
  ProductPlan product;
  product.n = kN;
  product.k = kK;
  product.panelChannels = 64;
  product.siluMul = true;
  layout::PackedWeights packed{kN, kK, product.panelChannels};
  PatternBuffer weights(*device);
  ASSERT_TRUE(weights
                  .reserve(static_cast<size_t>(packed.bytes()),
                           randomBytes(1000, 1), "weights")
                  .ok());
  std::vector<uint8_t> bytes;
  for (int64_t i = 0; i < packed.bytes(); ++i)
    bytes.push_back(weights.byte(static_cast<size_t>(i)));
  std::vector<int8_t> unpacked = layout::unpackWeights(packed, bytes);
  auto x = randomBytes(kM * kK, 2);
  auto xScales = randomFloats(kM, 0.01f, 0.02f, 5),
       weightScales = randomFloats(kN, 0.01f, 0.02f, 6);
  // Rows of weights: gate 0 and 1, up 0 and 1, gate 2 and 3, ...
  auto productOf = [&](int64_t m, int64_t row) {
    int32_t sum = 0;
    for (int64_t k = 0; k < kK; ++k)
      sum += static_cast<int8_t>(x[static_cast<size_t>(m * kK + k)]) *
             unpacked[static_cast<size_t>(row * kK + k)];
    float value =
        static_cast<float>(sum) * weightScales[static_cast<size_t>(row)];
    return static_cast<double>(
        roundToHalf(value * xScales[static_cast<size_t>(m)]));
  };
  std::vector<uint16_t> y;
  for (int64_t m = 0; m < kM; ++m)
    for (int64_t n = 0; n < kOutputs; ++n) {
      int64_t row = n / 2 * 4 + n % 2;
      double gate = productOf(m, row), up = productOf(m, row + 2);
      y.push_back(
          floatToHalf(static_cast<float>(gate / (1 + std::exp(-gate)) * up)));
    }
  auto result = device->allocate(y.size() * 2, "result");
  ASSERT_TRUE(result.ok());
  HostOperands operands;
  operands.m = kM;
  operands.n = kN;
  operands.k = kK;
  operands.x = &x;
  operands.xScales = &xScales;
  operands.weightScales = &weightScales;
  operands.weights = &weights;
  auto check = [&] {
    EXPECT_TRUE(device->copyToDevice(*result, y.data(), y.size() * 2).ok());
    return checkProduct(*device, operands, product, *result);
  };
  auto good = check();
  ASSERT_TRUE(good.ok()) << good.status().message();
  EXPECT_EQ(*good, kM * kOutputs);
  y.back() ^= 1;
  EXPECT_THAT(check().status().message(),
              HasSubstr("wrong result for token 1, channel 33: expected fp16"));
}

} // namespace
