//===- GroupScales.cpp - Scales of groups as multiples of one -------------===//

#include "odyssey/Frontend/Checkpoint/GroupScales.h"

#include "odyssey/Layout/PackedMultipliers.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

using namespace odyssey;

float odyssey::groupableScale(float scale) {
  // Beyond 20 of the 24 bits of a significand.
  constexpr int surplusBits = 4;
  int exponent;
  float fraction = std::frexp(scale, &exponent);
  float unit = std::ldexp(1.0f, surplusBits - 24);
  float rounded = std::ldexp(std::nearbyint(fraction / unit) * unit, exponent);
  bool usable = rounded >= std::numeric_limits<float>::min() &&
                rounded <= std::numeric_limits<float>::max() /
                               static_cast<float>(layout::kMaxMultiplier);
  return usable ? rounded : 0.0f;
}

std::optional<float> odyssey::factorizeScales(std::span<const float> scales,
                                              std::span<uint8_t> multipliers) {
  assert(scales.size() == multipliers.size() && !scales.empty());
  float largest = *std::ranges::max_element(scales);
  if (largest == 0) {
    std::ranges::fill(multipliers, 0);
    return 0.0f;
  }
  // Of the multiples that the largest can be, the first that fits all is that
  // of the largest common divisor.
  for (int multiple = 1; multiple <= layout::kMaxMultiplier; ++multiple) {
    float scale = largest / static_cast<float>(multiple);
    auto isMultiple = [&](float value) {
      double quotient = std::nearbyint(static_cast<double>(value) / scale);
      return quotient * scale == static_cast<double>(value);
    };
    if (scale == 0 || !std::ranges::all_of(scales, isMultiple))
      continue;
    std::ranges::transform(scales, multipliers.begin(), [&](float value) {
      return static_cast<uint8_t>(std::nearbyint(value / scale));
    });
    return scale;
  }
  return std::nullopt;
}
