//===- MatrixMath.h - Arithmetic of mma fragments ---------------*- C++ -*-===//
//
// D = A B + C for the 16 x 8 tiles of mma.sync, on rows of registers. The
// fragments' layout (PTX ISA, "Matrix Fragments for mma.m16n8k*"), with
// g = lane / 4 and t = lane % 4, puts four bytes of k into a register:
//
//   a[0] row g, a[1] row g + 8, both k 4t..   (s8; 2t.. for 16-bit types)
//   a[2], a[3]  the same rows, the second half of k
//   b[0], b[1]  column g, first and second half of k
//   c[0], c[1]  row g, columns 2t and 2t + 1;  c[2], c[3]  row g + 8
//
// so that a row of registers is a matrix of 8 rows of 16 bytes, in order.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_MATRIXMATH_H
#define ODYSSEY_RUNTIME_EMULATOR_MATRIXMATH_H

#include <cstdint>

namespace odyssey::runtime::emulator {

/// Registers of a fragment: each points to 32 lanes.
struct TileOperands {
  const uint32_t *a[4];
  const uint32_t *b[2];
  const uint32_t *c[4];
  /// May be the same rows as c.
  uint32_t *d[4];
};

struct IntegerTile {
  /// 16 or 32.
  unsigned k = 32;
  bool aSigned = true, bSigned = true;
  /// Clamp the sum with C instead of wrapping.
  bool saturate = false;
};

/// int8 products, accumulated exactly.
void multiplyIntegers(const IntegerTile &tile, const TileOperands &operands);

/// How a generation of tensor cores adds the products of a dot product: it
/// takes `chunk` of them and the accumulator at a time, aligns all to the
/// greatest exponent, keeps `fractionBits` bits behind the point, drops the
/// rest of each, and adds exactly. An f32 result is rounded toward zero, an f16
/// one to nearest even. After MMA-Sim (arXiv 2511.10909).
struct FloatTile {
  /// 8 or 16.
  unsigned k = 16;
  bool bfloat = false;
  /// C and D are f16: two registers of pairs instead of four.
  bool halfAccumulator = false;
  unsigned fractionBits = 24;
  unsigned chunk = 8;
};

FloatTile floatTileOf(unsigned architecture);

void multiplyFloats(const FloatTile &tile, const TileOperands &operands);

// The scalar code, which does everything.
void multiplyIntegersPortable(const IntegerTile &tile,
                              const TileOperands &operands);
void multiplyFloatsPortable(const FloatTile &tile,
                            const TileOperands &operands);

// Vector versions; they return false where they leave a tile to the scalar
// code (infinities, NaNs, forms they do not know).
bool multiplyIntegersAvx2(const IntegerTile &tile,
                          const TileOperands &operands);
bool multiplyFloatsAvx2(const FloatTile &tile, const TileOperands &operands);
bool multiplyIntegersAvx512(const IntegerTile &tile,
                            const TileOperands &operands);
bool multiplyFloatsAvx512(const FloatTile &tile, const TileOperands &operands);

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_MATRIXMATH_H
