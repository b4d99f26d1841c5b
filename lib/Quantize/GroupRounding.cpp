//===- GroupRounding.cpp - Scales of groups by the weights alone ----------===//

#include "odyssey/Quantize/GroupRounding.h"

#include "odyssey/Layout/PackedMultipliers.h"
#include "odyssey/Quantize/RoundToNearest.h"
#include "odyssey/Reference/ParallelFor.h"
#include "odyssey/Reference/VectorClones.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

using namespace odyssey;
using layout::groupCount;

/// Sums are kept apart by index modulo `lanes`, which gives vector units work
/// and the sum an order that does not depend on them.
static constexpr int64_t lanes = 16;

/// sum of (weight - scale * clamp(round(weight / scale), -8, 7))^2.
ODYSSEY_VECTOR_CLONES static float roundingError(const float *weight,
                                                 int64_t size, float scale) {
  constexpr float roundToInteger = 0x1.8p23f;
  float inverse = 1.0f / scale;
  float sums[lanes] = {};
  auto add = [&](int64_t i, int64_t lane) {
    float quotient = weight[i] * inverse;
    quotient = quotient < -8 ? -8 : quotient > 7 ? 7 : quotient;
    float rounded = (quotient + roundToInteger) - roundToInteger;
    float error = weight[i] - rounded * scale;
    sums[lane] += error * error;
  };
  int64_t whole = size / lanes * lanes;
  for (int64_t i = 0; i < whole; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane)
      add(i + lane, lane);
  for (int64_t i = whole; i < size; ++i)
    add(i, i - whole);
  float total = 0;
  for (float sum : sums)
    total += sum;
  return total;
}

/// The scale of one channel; its multipliers go to `multipliers`.
static float chooseChannel(std::span<const float> channel, int64_t groupSize,
                           std::span<uint8_t> multipliers) {
  int64_t groups = static_cast<int64_t>(multipliers.size());
  int64_t k = static_cast<int64_t>(channel.size());
  auto group = [&](int64_t g) {
    int64_t begin = g * groupSize;
    return channel.subspan(begin, std::min(groupSize, k - begin));
  };
  std::vector<float> wanted(groups);
  for (int64_t g = 0; g < groups; ++g)
    wanted[g] = channelScale(group(g));
  float largest = *std::ranges::max_element(wanted);

  std::ranges::fill(multipliers, 1);
  float best = 0, leastError = std::numeric_limits<float>::infinity();
  std::vector<uint8_t> candidate(groups);
  constexpr int highest = layout::kMaxMultiplier;
  for (int top = highest; top > highest / 2; --top) {
    float scale = groupableScale(largest / static_cast<float>(top));
    if (scale == 0)
      continue;
    float error = 0;
    for (int64_t g = 0; g < groups; ++g) {
      int below = std::clamp(static_cast<int>(wanted[g] / scale), 1, highest);
      int above = std::min(below + 1, highest);
      auto errorOf = [&](int m) {
        return roundingError(group(g).data(),
                             static_cast<int64_t>(group(g).size()),
                             scale * static_cast<float>(m));
      };
      float errorBelow = errorOf(below), errorAbove = errorOf(above);
      candidate[g] =
          static_cast<uint8_t>(errorAbove < errorBelow ? above : below);
      error += std::min(errorAbove, errorBelow);
    }
    if (error < leastError) {
      leastError = error;
      best = scale;
      std::ranges::copy(candidate, multipliers.begin());
    }
  }
  return best;
}

GroupScales odyssey::chooseGroupScales(std::span<const float> weight, int64_t n,
                                       int64_t groupSize, unsigned threads) {
  int64_t k = static_cast<int64_t>(weight.size()) / n;
  int64_t groups = groupCount(k, groupSize);
  GroupScales result;
  result.scale.resize(n);
  result.multiplier.resize(n * groups);
  reference::parallelFor(n, 16 * k, threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      result.scale[i] = chooseChannel(
          weight.subspan(i * k, k), groupSize,
          std::span(result.multiplier).subspan(i * groups, groups));
  });
  return result;
}

/// Calls `body(g, begin, size)` for the groups of k input channels.
template <typename Body>
static void forEachGroup(int64_t k, int64_t groupSize, Body body) {
  for (int64_t g = 0, begin = 0; begin < k; ++g, begin += groupSize)
    body(g, begin, std::min(groupSize, k - begin));
}

void odyssey::quantizeGroups(std::span<const float> channel, float scale,
                             std::span<const uint8_t> multipliers,
                             int64_t groupSize, std::span<int8_t> quantized) {
  assert(channel.size() == quantized.size());
  forEachGroup(static_cast<int64_t>(channel.size()), groupSize,
               [&](int64_t g, int64_t begin, int64_t size) {
                 quantizeChannel(channel.subspan(begin, size),
                                 scale * static_cast<float>(multipliers[g]),
                                 quantized.subspan(begin, size));
               });
}

void odyssey::multiplyGroups(std::span<int8_t> quantized,
                             std::span<const uint8_t> multipliers,
                             int64_t groupSize) {
  forEachGroup(static_cast<int64_t>(quantized.size()), groupSize,
               [&](int64_t g, int64_t begin, int64_t size) {
                 for (int8_t &q : quantized.subspan(begin, size))
                   q = static_cast<int8_t>(q * multipliers[g]);
               });
}
