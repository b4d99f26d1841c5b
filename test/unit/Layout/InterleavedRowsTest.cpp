//===- InterleavedRowsTest.cpp - Gate and up side by side -----------------===//

#include "odyssey/Layout/InterleavedRows.h"

#include "gtest/gtest.h"

#include <set>
#include <vector>

using namespace odyssey::layout;

namespace {

TEST(InterleavedRows, WorkedExample) {
  std::vector<int64_t> order(8);
  for (int64_t row = 0; row < 8; ++row)
    order[interleavedRow(row, 8)] = row;
  EXPECT_EQ(order, (std::vector<int64_t>{0, 1, 4, 5, 2, 3, 6, 7}));
}

/// Every row has a place of its own, and four neighbours from a multiple of 4
/// on are channels 2j and 2j + 1 of the first half, then of the second.
TEST(InterleavedRows, QuadsHoldBothHalvesOfTwoChannels) {
  for (int64_t half : {2, 4, 6, 172, 1536}) {
    std::set<int64_t> used;
    for (int64_t channel = 0; channel < half; ++channel) {
      int64_t gate = interleavedRow(channel, 2 * half);
      int64_t up = interleavedRow(half + channel, 2 * half);
      EXPECT_EQ(gate / 4, channel / 2);
      EXPECT_EQ(gate % 4, channel % 2);
      EXPECT_EQ(up, gate + 2);
      used.insert({gate, up});
    }
    EXPECT_EQ(static_cast<int64_t>(used.size()), 2 * half);
    EXPECT_EQ(*used.rbegin(), 2 * half - 1);
  }
}

} // namespace
