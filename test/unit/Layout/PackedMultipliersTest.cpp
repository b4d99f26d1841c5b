//===- PackedMultipliersTest.cpp - Group multipliers, every position ------===//

#include "odyssey/Layout/PackedMultipliers.h"

#include "gtest/gtest.h"

#include <random>
#include <set>

using namespace odyssey::layout;

namespace {

TEST(PackedMultipliers, WorkedExample) {
  PackedMultipliers layout{172, 3, 32, 64};
  EXPECT_EQ(layout.paddedN(), 192);
  EXPECT_EQ(layout.paddedGroups(), 4);
  EXPECT_EQ(layout.bytes(), 3 * 128);
  NibblePosition at = layout.position(71, 2);
  EXPECT_EQ(at.byte, 128 + 2 * 32 + 3);
  EXPECT_TRUE(at.high);
}

/// The groups end where the padded weights end.
TEST(PackedMultipliers, GroupsCoverThePaddedWeights) {
  for (int64_t k : {1, 31, 32, 33, 64, 65, 100, 128, 129, 172, 192, 576})
    for (int64_t size : {32, 64, 128}) {
      PackedWeights weights{1, k, 32, 8};
      PackedMultipliers layout{1, groupCount(k, size), size, 32};
      EXPECT_GE(layout.paddedGroups() * size, weights.paddedK())
          << "K = " << k << ", groups of " << size;
      EXPECT_LT((layout.paddedGroups() - 1) * size, weights.paddedK());
    }
}

class MultiplierShapes : public testing::TestWithParam<
                             std::tuple<int64_t, int64_t, int64_t, int64_t>> {};

TEST_P(MultiplierShapes, EveryNibbleIsUsedOnce) {
  auto [n, groups, size, panel] = GetParam();
  PackedMultipliers layout{n, groups, size, panel};
  std::set<std::pair<int64_t, bool>> used;
  for (int64_t channel = 0; channel < layout.paddedN(); ++channel)
    for (int64_t group = 0; group < layout.paddedGroups(); ++group) {
      NibblePosition at = layout.position(channel, group);
      ASSERT_GE(at.byte, 0);
      ASSERT_LT(at.byte, layout.bytes());
      EXPECT_TRUE(used.insert({at.byte, at.high}).second);
    }
  EXPECT_EQ(static_cast<int64_t>(used.size()), layout.bytes() * 2);
}

/// Reads the packed bytes as a lane does: 16 bits for the four channels that
/// its fragments of two blocks hold.
TEST_P(MultiplierShapes, LanesReadTheMultipliersOfTheirRows) {
  auto [n, groups, size, panel] = GetParam();
  PackedMultipliers layout{n, groups, size, panel};
  std::mt19937 random(11);
  std::vector<uint8_t> multipliers(n * groups);
  for (uint8_t &m : multipliers)
    m = static_cast<uint8_t>(random() % 16);
  std::vector<uint8_t> packed = packMultipliers(layout, multipliers);
  for (int64_t pair = 0; pair < layout.paddedN() / 32; ++pair)
    for (int64_t group = 0; group < layout.paddedGroups(); ++group)
      for (int64_t g = 0; g < 8; ++g) {
        int64_t first = pair * 32 + 4 * g;
        const uint8_t *bytes = packed.data() +
                               first / panel * layout.panelBytes() +
                               group * panel / 2 + first % panel / 2;
        int word = bytes[0] | bytes[1] << 8;
        for (int64_t j = 0; j < 4; ++j) {
          bool inside = first + j < n && group < groups;
          int expected = inside ? multipliers[(first + j) * groups + group] : 0;
          EXPECT_EQ(word >> (4 * j) & 15, expected);
        }
      }
}

INSTANTIATE_TEST_SUITE_P(Shapes, MultiplierShapes,
                         testing::Values(std::tuple{1, 1, 64, 32},
                                         std::tuple{172, 3, 32, 64},
                                         std::tuple{33, 2, 128, 32},
                                         std::tuple{300, 9, 64, 128}));

} // namespace
