//===- HalfTest.cpp -------------------------------------------------------===//

#include "odyssey/Frontend/Checkpoint/Half.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace odyssey;

/// The value of fp16 bits by the definition of the format.
static double valueOf(uint16_t half) {
  int exponent = (half >> 10) & 31, mantissa = half & 1023;
  double magnitude = exponent == 0 ? std::ldexp(mantissa, -24)
                                   : std::ldexp(1024 + mantissa, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

TEST(Half, EveryValueToFloat) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    uint16_t half = static_cast<uint16_t>(bits);
    float value = halfToFloat(half);
    if ((half & 0x7c00) != 0x7c00)
      EXPECT_EQ(value, valueOf(half)) << bits;
    else if (half & 0x3ff)
      EXPECT_TRUE(std::isnan(value)) << bits;
    else
      EXPECT_TRUE(std::isinf(value)) << bits;
    EXPECT_EQ(std::signbit(value), (half & 0x8000) != 0) << bits;
  }
}

TEST(Half, EveryValueComesBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    uint16_t half = static_cast<uint16_t>(bits);
    uint16_t back = floatToHalf(halfToFloat(half));
    if ((half & 0x7c00) == 0x7c00 && (half & 0x3ff))
      EXPECT_EQ(back, 0x7e00 | (half & 0x8000)) << bits;
    else
      EXPECT_EQ(back, half) << bits;
  }
}

TEST(Half, RoundsToNearestEven) {
  // Between every two neighbours, the largest pair being 65504 and what would
  // be 65536, had the format one more exponent.
  for (uint16_t half = 0; half < 0x7c00; ++half) {
    double above = half + 1 == 0x7c00 ? 65536.0 : valueOf(half + 1);
    float middle = static_cast<float>((valueOf(half) + above) / 2);
    uint16_t even = half % 2 == 0 ? half : half + 1;
    float infinity = std::numeric_limits<float>::infinity();
    EXPECT_EQ(floatToHalf(middle), even) << half;
    EXPECT_EQ(floatToHalf(std::nextafter(middle, -infinity)), half) << half;
    EXPECT_EQ(floatToHalf(std::nextafter(middle, infinity)), half + 1) << half;
    EXPECT_EQ(floatToHalf(-middle), even | 0x8000) << half;
  }
}

TEST(Half, Extremes) {
  EXPECT_EQ(floatToHalf(1e38f), 0x7c00);
  EXPECT_EQ(floatToHalf(-1e38f), 0xfc00);
  EXPECT_EQ(floatToHalf(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(floatToHalf(-0.0f), 0x8000);
  EXPECT_EQ(roundToHalf(maxHalf), maxHalf);
  EXPECT_EQ(roundToHalf(1.0f + 0x1p-11f), 1.0f);
}
