//===- TokenQuantization.cpp - Activations of one token on the host -------===//

#include "TokenQuantization.h"

#include "odyssey/Frontend/Checkpoint/Half.h"

#include <algorithm>
#include <array>
#include <cmath>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;

/// Lanes of a warp, and elements of a segment of N15.
static constexpr size_t kLanes = 32;

static std::vector<float> floatsOf(const std::vector<uint8_t> &halves,
                                   int64_t count) {
  std::vector<float> values;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i)
    values.push_back(halfToFloat(
        static_cast<uint16_t>(halves[2 * i] | halves[2 * i + 1] << 8)));
  return values;
}

/// The sums of squares of a row's segments.
static std::vector<float> segmentSums(const std::vector<float> &row) {
  std::vector<float> sums;
  for (size_t first = 0; first < row.size(); first += kLanes) {
    std::array<float, kLanes> tree = {};
    for (size_t i = 0; i < std::min(kLanes, row.size() - first); ++i)
      tree[i] = row[first + i] * row[first + i];
    for (size_t size = kLanes / 2; size > 0; size /= 2)
      for (size_t i = 0; i < size; ++i)
        tree[i] = tree[2 * i] + tree[2 * i + 1];
    sums.push_back(tree[0]);
  }
  return sums;
}

static float addSegments(const std::vector<float> &sums) {
  std::array<float, kLanes> lanes = {};
  for (size_t i = 0; i < sums.size(); ++i)
    lanes[i % kLanes] += sums[i];
  for (size_t half = kLanes / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i)
      lanes[i] += lanes[i + half];
  return lanes[0];
}

QuantizedToken bench::quantizeToken(const std::vector<uint8_t> &x,
                                    const std::vector<uint8_t> &norm, int64_t k,
                                    const ProloguePlan &prologue) {
  std::vector<float> row = floatsOf(x, k), scaled = row;
  if (prologue.norm) {
    std::vector<float> weights = floatsOf(norm, k);
    for (size_t i = 0; i < scaled.size(); ++i)
      scaled[i] *= weights[i];
  }
  float largest = 0;
  for (float value : scaled)
    largest = std::max(largest, std::fabs(value));
  QuantizedToken token;
  float factor = largest == 0 ? 0 : 127 / largest;
  for (float value : scaled)
    token.values.push_back(static_cast<uint8_t>(static_cast<int8_t>(
        std::clamp(std::nearbyint(value * factor), -127.0f, 127.0f))));
  token.scale = largest / 127;

  auto count = static_cast<size_t>(prologue.statistics);
  if (!prologue.norm) {
    token.statistics.resize(count);
    if (count > 0)
      token.statistics.back() = largest;
    return token;
  }
  std::vector<float> sums = segmentSums(row);
  float mean = addSegments(sums) / static_cast<float>(k);
  token.scale *= 1 / std::sqrt(mean + prologue.epsilon);
  for (size_t segment = 0; segment < count; ++segment) {
    bool inside = segment < sums.size();
    token.statistics.push_back(inside ? largest : 0);
    token.statistics.push_back(inside ? sums[segment] : 0);
  }
  return token;
}
