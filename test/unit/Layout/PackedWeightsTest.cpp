//===- PackedWeightsTest.cpp - The packed layout, every position ----------===//
//
// The expected positions are derived here from the A fragment of mma.m16n8k32
// (PTX ISA, "Matrix fragments for mma.m16n8k32"), not from the library.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Layout/PackedWeights.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <random>
#include <set>

using namespace odyssey::layout;

namespace {

TEST(PackedWeights, EveryNibbleIsUsedOnce) {
  PackedWeights layout{172, 100, 64};
  std::set<std::pair<int64_t, bool>> used;
  for (int64_t n = 0; n < layout.paddedN(); ++n)
    for (int64_t k = 0; k < layout.paddedK(); ++k) {
      NibblePosition at = layout.position(n, k);
      ASSERT_GE(at.byte, 0);
      ASSERT_LT(at.byte, layout.bytes());
      EXPECT_TRUE(used.insert({at.byte, at.high}).second)
          << "channel " << n << ", k " << k;
    }
  EXPECT_EQ(static_cast<int64_t>(used.size()), layout.bytes() * 2);
}

TEST(PackedWeights, WorkedExample) {
  PackedWeights layout{172, 100, 64};
  EXPECT_EQ(layout.paddedN(), 192);
  EXPECT_EQ(layout.paddedK(), 128);
  NibblePosition at = layout.position(70, 97);
  EXPECT_EQ(at.byte, 4096 + (4 + 1) * 512 + 4 * 16 + 2 * 4 + 1);
  EXPECT_TRUE(at.high);
}

/// Reads the packed bytes as a warp does and checks each element of the A
/// fragments against the weight that the ISA puts there.
TEST(PackedWeights, LanesReadTheirFragments) {
  PackedWeights layout{128, 192, 64};
  std::mt19937 random(7);
  std::vector<int8_t> weights(layout.n * layout.k);
  for (int8_t &w : weights)
    w = static_cast<int8_t>(static_cast<int>(random() % 16) - 8);
  std::vector<uint8_t> packed = packWeights(layout, weights);
  auto weight = [&](int64_t n, int64_t k) { return weights[n * layout.k + k]; };

  for (int64_t block = 0; block < layout.n / 16; ++block)
    for (int64_t step = 0; step < layout.k / 64; ++step)
      for (int64_t lane = 0; lane < 32; ++lane) {
        int64_t blocksPerPanel = layout.panelChannels / 16;
        const uint8_t *bytes = packed.data() +
                               block / blocksPerPanel * layout.panelBytes() +
                               step * layout.stepBytes() +
                               block % blocksPerPanel * 512 + lane * 16;
        int64_t g = lane / 4, t = lane % 4;
        // Rows of two blocks make 32 channels in the quad order.
        auto channelOfRow = [&](int64_t row) {
          return block / 2 * 32 + 4 * (row % 8) + 2 * (block % 2) + row / 8;
        };
        for (int64_t s = 0; s < 2; ++s)
          for (int64_t h = 0; h < 2; ++h)
            for (int64_t j = 0; j < 4; ++j) {
              uint8_t byte = bytes[(2 * s + h) * 4 + j];
              int64_t k = step * 64 + 32 * s + 16 * h + 4 * t + j;
              // a(2h) is row g, a(2h + 1) row g + 8; unpacked as 16 times q.
              auto high = static_cast<int8_t>(byte & 0xF0);
              auto low = static_cast<int8_t>(byte << 4);
              EXPECT_EQ(high, 16 * weight(channelOfRow(g), k));
              EXPECT_EQ(low, 16 * weight(channelOfRow(g + 8), k));
            }
      }
}

TEST(PackedWeights, EveryByteIsUsedOnceWithEightBits) {
  PackedWeights layout{172, 100, 64, 0, 8};
  std::set<int64_t> used;
  for (int64_t n = 0; n < layout.paddedN(); ++n)
    for (int64_t k = 0; k < layout.paddedK(); ++k) {
      NibblePosition at = layout.position(n, k);
      ASSERT_GE(at.byte, 0);
      ASSERT_LT(at.byte, layout.bytes());
      EXPECT_FALSE(at.high);
      EXPECT_TRUE(used.insert(at.byte).second)
          << "channel " << n << ", k " << k;
    }
  EXPECT_EQ(static_cast<int64_t>(used.size()), layout.bytes());
}

TEST(PackedWeights, WorkedExampleWithEightBits) {
  PackedWeights layout{172, 100, 64, 0, 8};
  EXPECT_EQ(layout.bytes(), 3 * 8192);
  EXPECT_EQ(layout.position(70, 97).byte,
            8192 + (4 + 1) * 1024 + 512 + 4 * 16 + 1);
}

/// Of 8 bits, 16 bytes of a lane are the registers a0 to a3 of a k32 step.
TEST(PackedWeights, LanesReadTheirFragmentsOfEightBits) {
  PackedWeights layout{128, 192, 64, 0, 8};
  std::mt19937 random(7);
  std::vector<int8_t> weights(layout.n * layout.k);
  for (int8_t &w : weights)
    w = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
  std::vector<uint8_t> packed = packWeights(layout, weights);
  auto weight = [&](int64_t n, int64_t k) { return weights[n * layout.k + k]; };

  for (int64_t block = 0; block < layout.n / 16; ++block)
    for (int64_t k32 = 0; k32 < layout.k; k32 += 32)
      for (int64_t lane = 0; lane < 32; ++lane) {
        const uint8_t *bytes = packed.data() +
                               block / 4 * (64 * layout.paddedK()) +
                               k32 / 64 * (64 * 64) + block % 4 * 1024 +
                               k32 / 32 % 2 * 512 + lane * 16;
        int64_t g = lane / 4, t = lane % 4;
        auto channelOfRow = [&](int64_t row) {
          return block / 2 * 32 + 4 * (row % 8) + 2 * (block % 2) + row / 8;
        };
        for (int64_t h = 0; h < 2; ++h)
          for (int64_t p = 0; p < 2; ++p)
            for (int64_t j = 0; j < 4; ++j)
              EXPECT_EQ(
                  static_cast<int8_t>(bytes[(2 * h + p) * 4 + j]),
                  weight(channelOfRow(g + 8 * p), k32 + 16 * h + 4 * t + j));
      }
}

/// With an offset of 8 nibbles are weights plus 8, also those of the padding.
TEST(PackedWeights, OffsetMakesNibblesUnsigned) {
  PackedWeights layout{33, 65, 64, 8};
  std::mt19937 random(3);
  std::vector<int8_t> weights(layout.n * layout.k);
  for (int8_t &w : weights)
    w = static_cast<int8_t>(static_cast<int>(random() % 16) - 8);
  std::vector<uint8_t> packed = packWeights(layout, weights);
  EXPECT_EQ(unpackWeights(layout, packed), weights);
  for (int64_t n = 0; n < layout.paddedN(); ++n)
    for (int64_t k = 0; k < layout.paddedK(); ++k) {
      NibblePosition at = layout.position(n, k);
      int nibble = at.high ? packed[at.byte] >> 4 : packed[at.byte] & 0xF;
      bool inside = n < layout.n && k < layout.k;
      EXPECT_EQ(nibble - 8, inside ? weights[n * layout.k + k] : 0);
    }
}

class PackedRoundTrip
    : public testing::TestWithParam<std::tuple<int64_t, int64_t, int64_t>> {};

TEST_P(PackedRoundTrip, UnpackInvertsPackOfEightBits) {
  auto [n, k, panel] = GetParam();
  PackedWeights layout{n, k, panel, 0, 8};
  std::mt19937 random(static_cast<unsigned>(n * 31 + k));
  std::vector<int8_t> weights(n * k);
  for (int8_t &w : weights)
    w = static_cast<int8_t>(random());
  std::vector<uint8_t> packed = packWeights(layout, weights);
  EXPECT_EQ(unpackWeights(layout, packed), weights);
  // The padding is zeros.
  auto nonzero = [](const auto &values) {
    return std::count_if(values.begin(), values.end(),
                         [](auto value) { return value != 0; });
  };
  EXPECT_EQ(nonzero(packed), nonzero(weights));
}

TEST_P(PackedRoundTrip, UnpackInvertsPack) {
  auto [n, k, panel] = GetParam();
  PackedWeights layout{n, k, panel};
  std::mt19937 random(static_cast<unsigned>(n * 31 + k));
  std::vector<int8_t> weights(n * k);
  for (int8_t &w : weights)
    w = static_cast<int8_t>(static_cast<int>(random() % 16) - 8);
  std::vector<uint8_t> packed = packWeights(layout, weights);
  EXPECT_EQ(unpackWeights(layout, packed), weights);
  // The padding is zeros.
  int64_t nonzero = 0, expected = 0;
  for (uint8_t byte : packed)
    nonzero += (byte & 0xF) != 0, nonzero += (byte >> 4) != 0;
  for (int8_t w : weights)
    expected += w != 0;
  EXPECT_EQ(nonzero, expected);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, PackedRoundTrip,
    testing::Values(std::tuple{1, 1, 32}, std::tuple{32, 64, 32},
                    std::tuple{33, 65, 64}, std::tuple{172, 64, 64},
                    std::tuple{576, 172, 128}, std::tuple{300, 1536, 128}));

} // namespace
