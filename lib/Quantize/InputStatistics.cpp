//===- InputStatistics.cpp - What calibration keeps of inputs -------------===//

#include "odyssey/Quantize/InputStatistics.h"

#include "odyssey/Reference/DenseProduct.h"
#include "odyssey/Reference/ParallelFor.h"

#include <algorithm>
#include <cassert>
#include <cmath>

using namespace odyssey;

/// Rows and columns of H that one task computes.
static constexpr int64_t tileSize = 192;

InputStatistics::InputStatistics(int64_t channels)
    : size(channels), moments(channels * channels), largest(channels) {}

void InputStatistics::add(const reference::Matrix &x,
                          std::span<const float> importance, unsigned threads) {
  assert(x.columns == size);
  assert(importance.empty() ||
         static_cast<int64_t>(importance.size()) == x.rows);
  count += x.rows;
  for (int64_t token = 0; token < x.rows; ++token) {
    std::span<const float> row = x.row(token);
    for (int64_t i = 0; i < size; ++i)
      largest[i] = std::max(largest[i], std::fabs(row[i]));
  }
  if (importance.empty()) {
    addProducts(x, threads);
    return;
  }
  reference::Matrix scaled = x;
  for (int64_t token = 0; token < x.rows; ++token)
    for (float &value : scaled.row(token))
      value *= std::sqrt(importance[token]);
  addProducts(scaled, threads);
}

void InputStatistics::addProducts(const reference::Matrix &x,
                                  unsigned threads) {
  using reference::MatrixView;
  auto inputs =
      MatrixView<const float>::rowMajor(x.values.data(), x.rows, size);
  auto sums = MatrixView<float>::rowMajor(moments.data(), size, size);
  // Tiles of the upper triangle, each copied to the lower one at once.
  struct Tile {
    int64_t row, column;
  };
  std::vector<Tile> upper;
  for (int64_t row = 0; row < size; row += tileSize)
    for (int64_t column = row; column < size; column += tileSize)
      upper.push_back({row, column});
  auto addTile = [&](Tile tile) {
    int64_t height = std::min(tileSize, size - tile.row);
    int64_t width = std::min(tileSize, size - tile.column);
    reference::multiplyAdd(
        inputs.block(0, tile.row, x.rows, height).transposed(),
        inputs.block(0, tile.column, x.rows, width),
        sums.block(tile.row, tile.column, height, width));
    for (int64_t i = tile.row; i < tile.row + height; ++i)
      for (int64_t j = std::max(i + 1, tile.column); j < tile.column + width;
           ++j)
        moments[j * size + i] = moments[i * size + j];
  };
  reference::parallelFor(static_cast<int64_t>(upper.size()),
                         x.rows * tileSize * tileSize, threads,
                         [&](int64_t begin, int64_t end) {
                           for (int64_t i = begin; i < end; ++i)
                             addTile(upper[i]);
                         });
}
