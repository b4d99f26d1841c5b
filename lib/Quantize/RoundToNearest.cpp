//===- RoundToNearest.cpp - The plainest quantization ---------------------===//

#include "odyssey/Quantize/RoundToNearest.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

using namespace odyssey;

float odyssey::channelScale(std::span<const float> channel, int64_t bits) {
  float largest = 0;
  for (float value : channel)
    largest = std::max(largest, std::fabs(value));
  float scale = largest / (bits == 8 ? 127.0f : 7.0f);
  return scale < std::numeric_limits<float>::min() ? 0.0f : scale;
}

void odyssey::quantizeChannel(std::span<const float> channel, float scale,
                              std::span<int8_t> quantized, int64_t bits) {
  assert(channel.size() == quantized.size());
  if (scale == 0) {
    std::ranges::fill(quantized, 0);
    return;
  }
  // Adding and subtracting 1.5 * 2^23 leaves no bits below the point and
  // rounds to nearest even, for the small quotients here, and vectorizes.
  constexpr float roundToInteger = 0x1.8p23f;
  float least = bits == 8 ? -127.0f : -8.0f, most = bits == 8 ? 127.0f : 7.0f;
  for (size_t i = 0; i < channel.size(); ++i) {
    float quotient = std::clamp(channel[i] / scale, least, most);
    quantized[i] = static_cast<int8_t>(
        static_cast<int>((quotient + roundToInteger) - roundToInteger));
  }
}
