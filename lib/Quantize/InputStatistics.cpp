//===- InputStatistics.cpp - What calibration keeps of inputs -------------===//

#include "odyssey/Quantize/InputStatistics.h"

#include "odyssey/Reference/ParallelFor.h"

#include <Eigen/Core>

#include <algorithm>
#include <cassert>
#include <cmath>

using namespace odyssey;

using RowMajor =
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Columns of H that one task computes.
static constexpr int64_t tileSize = 96;

InputStatistics::InputStatistics(int64_t channels)
    : size(channels), moments(channels * channels), largest(channels) {}

void InputStatistics::add(const reference::Matrix &x, unsigned threads) {
  assert(x.columns == size);
  count += x.rows;
  Eigen::Map<const RowMajor> inputs(x.values.data(), x.rows, size);
  Eigen::Map<RowMajor> sums(moments.data(), size, size);
  int64_t tiles = (size + tileSize - 1) / tileSize;
  // Tiles of the upper triangle, each copied to the lower one at once.
  struct Tile {
    int64_t row, column;
  };
  std::vector<Tile> upper;
  for (int64_t row = 0; row < tiles; ++row)
    for (int64_t column = row; column < tiles; ++column)
      upper.push_back({row * tileSize, column * tileSize});
  auto width = [&](int64_t first) { return std::min(tileSize, size - first); };
  reference::parallelFor(
      static_cast<int64_t>(upper.size()), x.rows * tileSize * tileSize, threads,
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          auto [row, column] = upper[i];
          auto tile = sums.block(row, column, width(row), width(column));
          tile.noalias() += inputs.middleCols(row, width(row)).transpose() *
                            inputs.middleCols(column, width(column));
          // Adding up the lower triangle apart could differ in the last bit.
          for (int64_t r = row; r < row + tile.rows(); ++r)
            for (int64_t c = std::max(r + 1, column); c < column + tile.cols();
                 ++c)
              sums(c, r) = sums(r, c);
        }
      });
  for (int64_t token = 0; token < x.rows; ++token) {
    std::span<const float> row = x.row(token);
    for (int64_t i = 0; i < size; ++i)
      largest[i] = std::max(largest[i], std::fabs(row[i]));
  }
}
