//===- MatrixMath.cpp - Arithmetic of mma fragments, any host -------------===//

#include "MatrixMath.h"
#include "Program.h"
#include "Targets.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace odyssey::runtime::emulator {

namespace portable {
#include "Half.inc"
} // namespace portable

namespace {

using namespace portable;

constexpr unsigned kRows = 16, kColumns = 8;

/// Calls visit(row, column, index of c, lane).
template <typename Visitor> void forEachResult(Visitor visit) {
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    for (unsigned i = 0; i < 4; ++i)
      visit(lane / 4 + (i / 2) * 8, lane % 4 * 2 + i % 2, i, lane);
}

/// The element (line, k) of a fragment of `bytes`-byte elements. A line is a
/// row of A (16 of them) or a column of B (8).
template <typename T>
T element(const uint32_t *const *registers, unsigned lines, unsigned line,
          unsigned k) {
  constexpr unsigned kPerRegister = 16 / sizeof(T);
  unsigned half = k / kPerRegister;
  const uint32_t *row = registers[lines == kRows ? half * 2 + line / 8 : half];
  T value;
  std::memcpy(&value,
              reinterpret_cast<const uint8_t *>(row) + line % 8 * 16 +
                  k % kPerRegister * sizeof(T),
              sizeof(T));
  return value;
}

/// A finite number as significand * 2^exponent with 1 <= |significand| < 2, or
/// less than 1 at the exponent of the subnormal numbers. The significand has
/// 23 fraction bits.
struct Parts {
  int64_t significand = 0;
  int exponent = 0;
};

Parts partsOf(float value, int leastExponent) {
  uint32_t bits = asBits(value), biased = bits >> 23 & 0xFF;
  int64_t significand = bits & 0x7FFFFF;
  int exponent = -126;
  if (biased) {
    significand |= 1 << 23;
    exponent = static_cast<int>(biased) - 127;
  }
  if (!significand)
    return {0, leastExponent};
  if (exponent < leastExponent) {
    int shift = leastExponent - exponent;
    significand = shift < 24 ? significand >> shift : 0;
    exponent = leastExponent;
  }
  return {bits >> 31 ? -significand : significand, exponent};
}

/// 2^exponent, which is a normal number.
double powerOfTwo(int exponent) {
  return std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);
}

/// value * 2^shift, toward zero.
int64_t shifted(int64_t value, int shift) {
  if (value == 0) // its exponent, and so the shift, may be anything
    return 0;
  if (shift >= 0)
    return value << shift;
  uint64_t magnitude = static_cast<uint64_t>(value < 0 ? -value : value);
  magnitude = shift < -63 ? 0 : magnitude >> -shift;
  return value < 0 ? -static_cast<int64_t>(magnitude)
                   : static_cast<int64_t>(magnitude);
}

/// A double as f32, toward zero, except that what has no f32 exponent is
/// infinite.
float towardZero(double value) {
  double magnitude = std::fabs(value);
  float result = static_cast<float>(value);
  if (magnitude >= 0x1p128)
    return result;
  if (std::fabs(static_cast<double>(result)) > magnitude)
    result = asFloat(asBits(result) - 1);
  return result;
}

/// One step of the accumulation: c + a[0] b[0] + ... of `count` products.
float fusedDot(const FloatTile &tile, const float *a, const float *b,
               unsigned count, float c) {
  int leastHalf = tile.bfloat ? -126 : -14;
  int leastC = tile.halfAccumulator ? -14 : -126;
  float special = c;
  bool finite = std::isfinite(c);
  for (unsigned i = 0; i < count; ++i) {
    finite &= std::isfinite(a[i]) && std::isfinite(b[i]);
    special += std::isfinite(a[i]) && std::isfinite(b[i]) ? 0.0f : a[i] * b[i];
  }
  if (!finite)
    return std::isnan(special) ? asFloat(0x7FFFFFFFu) : special;

  Parts products[32], accumulator = partsOf(c, leastC);
  int greatest = accumulator.significand ? accumulator.exponent : -126;
  for (unsigned i = 0; i < count; ++i) {
    Parts x = partsOf(a[i], leastHalf), y = partsOf(b[i], leastHalf);
    products[i] = {x.significand * y.significand, x.exponent + y.exponent};
    if (products[i].significand)
      greatest = std::max(greatest, products[i].exponent);
  }
  auto fraction = static_cast<int>(tile.fractionBits);
  int64_t sum = shifted(accumulator.significand,
                        accumulator.exponent - greatest + fraction - 23);
  for (unsigned i = 0; i < count; ++i)
    sum += shifted(products[i].significand,
                   products[i].exponent - greatest + fraction - 46);
  double exact = static_cast<double>(sum) * powerOfTwo(greatest - fraction);
  if (tile.halfAccumulator)
    return halfToFloat(floatToHalf(narrowToOdd(exact)));
  return towardZero(exact);
}

} // namespace

FloatTile floatTileOf(unsigned architecture) {
  FloatTile tile;
  if (architecture >= 90) {
    tile.fractionBits = 25;
    tile.chunk = 16;
  }
  return tile;
}

void multiplyIntegers(const IntegerTile &tile, const TileOperands &operands) {
#ifdef ODYSSEY_HAS_AVX512
  if (hasAvx512() && multiplyIntegersAvx512(tile, operands))
    return;
#endif
#ifdef ODYSSEY_HAS_AVX2
  if (hasAvx2() && multiplyIntegersAvx2(tile, operands))
    return;
#endif
  multiplyIntegersPortable(tile, operands);
}

void multiplyFloats(const FloatTile &tile, const TileOperands &operands) {
#ifdef ODYSSEY_HAS_AVX512
  if (hasAvx512() && multiplyFloatsAvx512(tile, operands))
    return;
#endif
#ifdef ODYSSEY_HAS_AVX2
  if (hasAvx2() && multiplyFloatsAvx2(tile, operands))
    return;
#endif
  multiplyFloatsPortable(tile, operands);
}

void multiplyIntegersPortable(const IntegerTile &tile,
                              const TileOperands &operands) {
  forEachResult([&](unsigned row, unsigned column, unsigned i, unsigned lane) {
    int64_t sum = 0;
    for (unsigned k = 0; k < tile.k; ++k) {
      auto x = element<uint8_t>(operands.a, kRows, row, k);
      auto y = element<uint8_t>(operands.b, kColumns, column, k);
      sum += (tile.aSigned ? int64_t(int8_t(x)) : int64_t(x)) *
             (tile.bSigned ? int64_t(int8_t(y)) : int64_t(y));
    }
    sum += static_cast<int32_t>(operands.c[i][lane]);
    if (tile.saturate)
      sum = std::clamp<int64_t>(sum, INT32_MIN, INT32_MAX);
    operands.d[i][lane] = static_cast<uint32_t>(sum);
  });
}

void multiplyFloatsPortable(const FloatTile &tile,
                            const TileOperands &operands) {
  auto load = [&](uint16_t bits) {
    return tile.bfloat ? bfloatToFloat(bits) : halfToFloat(bits);
  };
  float a[kRows][16], b[kColumns][16];
  for (unsigned k = 0; k < tile.k; ++k) {
    for (unsigned row = 0; row < kRows; ++row)
      a[row][k] = load(element<uint16_t>(operands.a, kRows, row, k));
    for (unsigned column = 0; column < kColumns; ++column)
      b[column][k] = load(element<uint16_t>(operands.b, kColumns, column, k));
  }
  forEachResult([&](unsigned row, unsigned column, unsigned i, unsigned lane) {
    // Two f16 results share a register.
    unsigned shift = 16 * (i % 2);
    uint32_t bits =
        tile.halfAccumulator ? operands.c[i / 2][lane] : operands.c[i][lane];
    float sum = tile.halfAccumulator ? halfToFloat(uint16_t(bits >> shift))
                                     : asFloat(bits);
    for (unsigned k = 0; k < tile.k; k += tile.chunk)
      sum = fusedDot(tile, a[row] + k, b[column] + k,
                     std::min(tile.chunk, tile.k - k), sum);
    if (!tile.halfAccumulator) {
      operands.d[i][lane] = asBits(sum);
      return;
    }
    uint32_t &pair = operands.d[i / 2][lane];
    // The other half of `bits` is C still, or D already when c and d differ.
    uint32_t others = i % 2 ? pair & 0xFFFF : bits & 0xFFFF0000u;
    pair = others | uint32_t(floatToHalf(sum)) << shift;
  });
}

} // namespace odyssey::runtime::emulator
