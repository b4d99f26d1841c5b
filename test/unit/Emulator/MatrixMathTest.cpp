//===- MatrixMathTest.cpp - Vector code for tiles against the scalar code -===//
//
// Tiles with every kind of number, bit for bit, in each version that this host
// runs.
//
//===----------------------------------------------------------------------===//

#include "emulator/MatrixMath.h"
#include "emulator/Targets.h"

#include "gtest/gtest.h"

#include <array>
#include <bit>
#include <random>

using namespace odyssey::runtime::emulator;

namespace {

using Row = std::array<uint32_t, 32>;

/// Registers of a tile.
struct Tile {
  std::array<Row, 4> a, c, d;
  std::array<Row, 2> b;

  TileOperands operands() {
    TileOperands result;
    for (int i = 0; i < 4; ++i) {
      result.a[i] = a[i].data();
      result.c[i] = c[i].data();
      result.d[i] = d[i].data();
    }
    for (int i = 0; i < 2; ++i)
      result.b[i] = b[i].data();
    return result;
  }
};

std::mt19937 random32(1);

/// An fp16 number whose exponent is among the `spread` lowest above `least`;
/// now and then a zero or any bits that are finite.
uint16_t randomHalf(unsigned least, unsigned spread) {
  uint32_t bits = random32();
  switch (bits >> 27) {
  case 0:
    return bits & 0x8000;
  case 1: {
    auto any = static_cast<uint16_t>(bits);
    return (any & 0x7C00) == 0x7C00 ? any & 0x83FF : any;
  }
  default:
    return static_cast<uint16_t>((bits & 0x83FF) |
                                 (least + (bits >> 16 & 0xFF) % spread) << 10);
  }
}

/// A float around what such products add up to, sometimes anything finite.
uint32_t randomFloat() {
  uint32_t bits = random32();
  switch (random32() % 8) {
  case 0:
    return bits & 0x80000000;
  case 1:
    return (bits & 0x7F800000) == 0x7F800000 ? bits & 0x807FFFFF : bits;
  default:
    return (bits & 0x807FFFFF) | (97 + random32() % 50) << 23;
  }
}

Tile randomFloats(unsigned least, unsigned spread) {
  Tile tile;
  auto fill = [&](auto &registers) {
    for (Row &row : registers)
      for (uint32_t &pair : row)
        pair = randomHalf(least, spread) | uint32_t(randomHalf(least, spread))
                                               << 16;
  };
  fill(tile.a);
  fill(tile.b);
  for (Row &row : tile.c)
    for (uint32_t &value : row)
      value = randomFloat();
  return tile;
}

/// How many tiles the vector code took.
template <typename TileType, typename Portable, typename Vector>
int compare(const TileType &type, Tile tile, Portable portable, Vector vector) {
  Tile expected = tile, actual = tile;
  portable(type, expected.operands());
  if (!vector(type, actual.operands()))
    return 0;
  EXPECT_EQ(actual.d, expected.d);
  // In place.
  TileOperands inPlace = tile.operands();
  for (int i = 0; i < 4; ++i)
    inPlace.d[i] = tile.c[i].data();
  EXPECT_TRUE(vector(type, inPlace));
  EXPECT_EQ(tile.c, expected.d);
  return 1;
}

template <typename Vector> void checkFloats(Vector vector) {
  int taken = 0;
  for (unsigned k : {8u, 16u})
    for (auto [fraction, chunk] : {std::pair(24u, 8u), std::pair(25u, 16u)})
      for (auto [least, spread] : {std::pair(0u, 31u), std::pair(0u, 3u),
                                   std::pair(12u, 6u), std::pair(28u, 3u)})
        for (int i = 0; i < 200; ++i) {
          FloatTile type;
          type.k = k, type.fractionBits = fraction, type.chunk = chunk;
          taken += compare(type, randomFloats(least, spread),
                           multiplyFloatsPortable, vector);
          ASSERT_FALSE(::testing::Test::HasFailure())
              << "k " << k << ", chunk " << chunk << ", exponents from "
              << least;
        }
  EXPECT_GT(taken, 100);
  // What it leaves to the scalar code.
  Tile tile = randomFloats(12, 6);
  tile.b[0][5] = 0x7C00;
  EXPECT_FALSE(vector(FloatTile(), tile.operands()));
  tile.b[0][5] = 0;
  tile.c[3][31] = std::bit_cast<uint32_t>(0x1p113f);
  EXPECT_FALSE(vector(FloatTile(), tile.operands()));
}

template <typename Vector> void checkIntegers(Vector vector) {
  for (unsigned k : {16u, 32u})
    for (int i = 0; i < 200; ++i) {
      Tile tile;
      auto fill = [&](auto &registers) {
        for (Row &row : registers)
          for (uint32_t &word : row)
            word = i % 4 ? random32() : 0x80808080u;
      };
      fill(tile.a);
      fill(tile.b);
      fill(tile.c);
      IntegerTile type;
      type.k = k;
      ASSERT_EQ(compare(type, tile, multiplyIntegersPortable, vector), 1);
      ASSERT_FALSE(::testing::Test::HasFailure()) << "k " << k;
    }
}

TEST(MatrixMath, Avx2) {
#ifdef ODYSSEY_HAS_AVX2
  if (!hasAvx2())
    GTEST_SKIP() << "this host has no AVX2, F16C and FMA";
  checkFloats(multiplyFloatsAvx2);
  checkIntegers(multiplyIntegersAvx2);
#else
  GTEST_SKIP() << "this compiler makes no code for AVX2";
#endif
}

TEST(MatrixMath, Avx512) {
#ifdef ODYSSEY_HAS_AVX512
  if (!hasAvx512())
    GTEST_SKIP() << "this host has no AVX-512 with VNNI";
  checkFloats(multiplyFloatsAvx512);
  checkIntegers(multiplyIntegersAvx512);
#else
  GTEST_SKIP() << "this compiler makes no code for AVX-512";
#endif
}

} // namespace
