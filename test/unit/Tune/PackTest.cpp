//===- PackTest.cpp -------------------------------------------------------===//
//
// The runtime's view of packed weights against the compiler's, which was
// written independently, and fp16 rounding against all halves.
//
//===----------------------------------------------------------------------===//

#include "odyssey/runtime/Pack.h"
#include "Product.h"
#include "odyssey/Layout/PackedWeights.h"

#include "gtest/gtest.h"

#include <bit>
#include <cmath>
#include <set>

using namespace odyssey;
using namespace odyssey::runtime;

TEST(Pack, WeightsAreWhereTheCompilerPutsThem) {
  for (auto [n, k, panel, bits] : {std::tuple(172, 100, 64, 4),
                                   {256, 192, 128, 4},
                                   {172, 100, 64, 8},
                                   {256, 192, 128, 8}}) {
    layout::PackedWeights compiler{n, k, panel, 0, bits};
    std::vector<int8_t> weights(n * k);
    for (size_t i = 0; i < weights.size(); ++i)
      weights[i] =
          bits == 8
              ? static_cast<int8_t>(static_cast<int>(i * 7 % 255) - 127)
              : static_cast<int8_t>(static_cast<int>(i * 7 % 31 % 16) - 8);
    std::vector<uint8_t> packed = layout::packWeights(compiler, weights);
    PackProduct product{"", n, k, panel, 0, 0, bits};
    for (int64_t channel = 0; channel < n; ++channel)
      for (int64_t i = 0; i < k; ++i)
        ASSERT_EQ(packedWeight(product, packed.data(), channel, i),
                  weights[channel * k + i])
            << channel << ", " << i;
  }
}

// Every activation has a byte of its own; row r of a tile has its pieces of 16
// bytes at c ^ (r mod 8).
TEST(Pack, ActivationsHaveTheirPlaces) {
  PackProduct product{"", 64, 300, 64, 0, 0};
  for (int64_t tile : {0, 8, 24}) {
    PackCandidate candidate;
    candidate.tileTokens = tile;
    int64_t bytes = activationBytes(candidate, product, 50);
    EXPECT_EQ(bytes, tile == 0 ? 50 * 320 : (tile == 8 ? 56 : 72) * 384);
    std::set<int64_t> places;
    for (int64_t m = 0; m < 50; ++m)
      for (int64_t k = 0; k < 300; ++k) {
        int64_t place = activationOffset(candidate, product, m, k);
        EXPECT_TRUE(place >= 0 && place < bytes);
        EXPECT_TRUE(places.insert(place).second);
      }
  }
  PackCandidate candidate;
  candidate.tileTokens = 8;
  EXPECT_EQ(activationOffset(candidate, product, 3, 40), 3 * 128 + 1 * 16 + 8);
  EXPECT_EQ(activationOffset(candidate, product, 9, 130),
            (4 * 8 + 1) * 128 + 1 * 16 + 2);
}

// Halves are exact, and half-way between two of them the even one is taken.
TEST(Product, HalvesRoundToNearestEven) {
  auto valueOf = [](uint16_t bits) {
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    return exponent == 0 ? std::ldexp(mantissa, -24)
                         : std::ldexp(1024 + mantissa, exponent - 25);
  };
  for (uint16_t bits = 0; bits < 0x7bff; ++bits) {
    double low = valueOf(bits), high = valueOf(bits + 1);
    float middle = static_cast<float>((low + high) / 2);
    ASSERT_EQ(halfBits(static_cast<float>(low)), bits);
    ASSERT_EQ(halfBits(-static_cast<float>(low)), bits | 0x8000);
    ASSERT_EQ(halfBits(middle), bits % 2 == 0 ? bits : bits + 1);
    ASSERT_EQ(halfBits(std::nextafterf(middle, 1e9f)), bits + 1);
    ASSERT_EQ(halfBits(std::nextafterf(middle, -1e9f)), bits);
  }
  EXPECT_EQ(halfBits(65519.0f), 0x7bff);
  EXPECT_EQ(halfBits(65520.0f), 0x7c00);
  EXPECT_EQ(halfBits(INFINITY), 0x7c00);
  EXPECT_GT(halfBits(NAN) & 0x7fff, 0x7c00);
}
