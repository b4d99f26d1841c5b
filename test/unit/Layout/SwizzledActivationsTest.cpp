//===- SwizzledActivationsTest.cpp - The order of wgmma, every byte -------===//
//
// The expected positions are those of the matrix descriptor of wgmma (PTX ISA,
// "Asynchronous warpgroup-level matrix shared memory layout"): in a tile at a
// multiple of 1024 bytes, address bits 4 to 6 are exchanged by bits 7 to 9.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Layout/SwizzledActivations.h"

#include "gtest/gtest.h"

#include <vector>

using namespace odyssey::layout;

namespace {

TEST(SwizzledActivations, WorkedExample) {
  SwizzledActivations layout{200, 16};
  EXPECT_EQ(layout.tilesAlongK(), 2);
  EXPECT_EQ(layout.position(19, 150), 4096 + 2048 + 3 * 128 + 2 * 16 + 6);
}

TEST(SwizzledActivations, PaddingIsWholeTiles) {
  EXPECT_EQ((SwizzledActivations{200, 16}.bytes(0)), 0);
  EXPECT_EQ((SwizzledActivations{200, 16}.bytes(1)), 16 * 256);
  EXPECT_EQ((SwizzledActivations{200, 16}.bytes(16)), 16 * 256);
  EXPECT_EQ((SwizzledActivations{200, 16}.bytes(17)), 32 * 256);
  EXPECT_EQ((SwizzledActivations{128, 24}.bytes(25)), 48 * 128);
}

struct Shape {
  int64_t k, tileTokens, tokens;
};

class SwizzledShapes : public ::testing::TestWithParam<Shape> {};

/// Padding included, every byte belongs to one element.
TEST_P(SwizzledShapes, IsABijection) {
  auto [k, tileTokens, tokens] = GetParam();
  SwizzledActivations layout{k, tileTokens};
  int64_t rows = (tokens + tileTokens - 1) / tileTokens * tileTokens;
  int64_t columns = layout.tilesAlongK() * SwizzledActivations::kTileK;
  std::vector<bool> used(layout.bytes(tokens));
  ASSERT_EQ(static_cast<int64_t>(used.size()), rows * columns);
  for (int64_t token = 0; token < rows; ++token)
    for (int64_t channel = 0; channel < columns; ++channel) {
      int64_t at = layout.position(token, channel);
      ASSERT_GE(at, 0);
      ASSERT_LT(at, static_cast<int64_t>(used.size()));
      EXPECT_FALSE(used[at]) << "token " << token << ", channel " << channel;
      used[at] = true;
    }
}

/// Tiles one after another along K, rows of 128 bytes in them, and the address
/// bits exchanged as the tensor cores do it.
TEST_P(SwizzledShapes, AreReadByTheSwizzleOfADescriptor) {
  auto [k, tileTokens, tokens] = GetParam();
  SwizzledActivations layout{k, tileTokens};
  for (int64_t token = 0; token < tokens; ++token)
    for (int64_t channel = 0; channel < k; ++channel) {
      int64_t tile = token / tileTokens * layout.tilesAlongK() + channel / 128;
      int64_t address = token % tileTokens * 128 + channel % 128;
      address ^= (address >> 7 & 7) << 4;
      ASSERT_EQ(layout.position(token, channel),
                tile * tileTokens * 128 + address)
          << "token " << token << ", channel " << channel;
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, SwizzledShapes,
                         ::testing::Values(Shape{1, 8, 1}, Shape{128, 8, 8},
                                           Shape{129, 24, 25},
                                           Shape{200, 16, 33},
                                           Shape{576, 160, 161},
                                           Shape{1091, 256, 257}));

} // namespace
