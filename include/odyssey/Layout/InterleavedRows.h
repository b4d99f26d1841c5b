//===- InterleavedRows.h - Gate and up side by side -------------*- C++ -*-===//
//
// The order `interleaved` of an odyssey.weight as pure arithmetic: of two
// halves, two rows each in turn. Of four adjacent output channels, which is
// what one thread holds of a token, two are then a gate's and two the same
// channels of the up projection.
//
// Worked example, 8 rows, gate 0 to 3 and up 4 to 7: they stand in the order
// 0 1 4 5 2 3 6 7.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LAYOUT_INTERLEAVEDROWS_H
#define ODYSSEY_LAYOUT_INTERLEAVEDROWS_H

#include <cstdint>

namespace odyssey::layout {

/// Rows of one half that stay together.
inline constexpr int64_t kInterleavedRows = 2;

/// Where row `row` of `rows` (a multiple of 4) stands.
constexpr int64_t interleavedRow(int64_t row, int64_t rows) {
  int64_t half = row / (rows / 2), inHalf = row % (rows / 2);
  return (inHalf / kInterleavedRows * 2 + half) * kInterleavedRows +
         inHalf % kInterleavedRows;
}

} // namespace odyssey::layout

#endif // ODYSSEY_LAYOUT_INTERLEAVEDROWS_H
