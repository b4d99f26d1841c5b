//===- RoundToNearest.cpp - The plainest 4-bit quantization ---------------===//

#include "odyssey/Quantize/RoundToNearest.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

using namespace odyssey;

float odyssey::channelScale(std::span<const float> channel) {
  float largest = 0;
  for (float value : channel)
    largest = std::max(largest, std::fabs(value));
  float scale = largest / 7.0f;
  return scale < std::numeric_limits<float>::min() ? 0.0f : scale;
}

void odyssey::quantizeChannel(std::span<const float> channel, float scale,
                              std::span<int8_t> quantized) {
  assert(channel.size() == quantized.size());
  if (scale == 0) {
    std::ranges::fill(quantized, 0);
    return;
  }
  // Adding and subtracting 1.5 * 2^23 leaves no bits below the point and
  // rounds to nearest even, for the small quotients here, and vectorizes.
  constexpr float roundToInteger = 0x1.8p23f;
  for (size_t i = 0; i < channel.size(); ++i) {
    float quotient = std::clamp(channel[i] / scale, -8.0f, 7.0f);
    quantized[i] = static_cast<int8_t>(
        static_cast<int>((quotient + roundToInteger) - roundToInteger));
  }
}
