//===- MatrixMathAvx2.cpp - Arithmetic of mma fragments, AVX2 -------------===//
//
// For hosts without AVX-512. Rows of a tile are the elements of two vectors.
//
//===----------------------------------------------------------------------===//

#include "MatrixMath.h"
#include "Targets.h"

#ifdef ODYSSEY_HAS_AVX2

#include <cstring>

ODYSSEY_BEGIN_AVX2

namespace odyssey::runtime::emulator {

namespace {

constexpr unsigned kRows = 16, kColumns = 8;

/// 16 bytes of row or column `line` of a fragment's registers.
inline __m128i loadHalf(const uint32_t *registers, unsigned line) {
  return _mm_loadu_si128(
      reinterpret_cast<const __m128i *>(registers + line * 4));
}

//===----------------------------------------------------------------------===//
// int8
//===----------------------------------------------------------------------===//

/// The sums of eight vectors' elements.
inline __m256i addAcross(const __m256i (&v)[8]) {
  __m256i low = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]),
                                  _mm256_hadd_epi32(v[2], v[3]));
  __m256i high = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]),
                                   _mm256_hadd_epi32(v[6], v[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                          _mm256_permute2x128_si256(low, high, 0x31));
}

/// The products of all rows and columns over `Halves` times 16 values of k.
template <unsigned Halves>
inline void multiplySigned(const TileOperands &operands,
                           int32_t (&sums)[kRows][kColumns]) {
  __m256i b[kColumns][Halves];
  for (unsigned column = 0; column < kColumns; ++column)
    for (unsigned h = 0; h < Halves; ++h)
      b[column][h] = _mm256_cvtepi8_epi16(loadHalf(operands.b[h], column));
  for (unsigned row = 0; row < kRows; ++row) {
    __m256i a[Halves], products[kColumns];
    for (unsigned h = 0; h < Halves; ++h)
      a[h] =
          _mm256_cvtepi8_epi16(loadHalf(operands.a[2 * h + row / 8], row % 8));
    for (unsigned column = 0; column < kColumns; ++column) {
      products[column] = _mm256_madd_epi16(a[0], b[column][0]);
      if (Halves == 2)
        products[column] = _mm256_add_epi32(
            products[column],
            _mm256_madd_epi16(a[Halves - 1], b[column][Halves - 1]));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(sums[row]),
                        addAcross(products));
  }
}

} // namespace

bool multiplyIntegersAvx2(const IntegerTile &tile,
                          const TileOperands &operands) {
  if (!tile.aSigned || !tile.bSigned || tile.saturate)
    return false;
  alignas(32) int32_t sums[kRows][kColumns];
  if (tile.k == 32)
    multiplySigned<2>(operands, sums);
  else
    multiplySigned<1>(operands, sums);
  // Row 4 bytes g, columns 2t + j: in lanes 4g + t of register j or 2 + j.
  for (unsigned row = 0; row < kRows; ++row)
    for (unsigned column = 0; column < kColumns; ++column) {
      unsigned i = row / 8 * 2 + column % 2, lane = row % 8 * 4 + column / 2;
      operands.d[i][lane] =
          operands.c[i][lane] + static_cast<uint32_t>(sums[row][column]);
    }
  return true;
}

//===----------------------------------------------------------------------===//
// f16
//===----------------------------------------------------------------------===//

namespace {

/// No product or sum has an exponent as low as this.
constexpr int16_t kZeroExponent = -20000;

inline __m256i broadcast(int value) { return _mm256_set1_epi32(value); }

/// 2^exponent, for exponents of normal numbers.
inline __m256 powerOfTwo(__m256i exponent) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(exponent, broadcast(127)), 23));
}

/// Exponents as the tensor core sees them: subnormal numbers have the least
/// normal one, zeros count for nothing.
inline __m256i exponents(__m256 value, int least) {
  __m256i bits =
      _mm256_and_si256(_mm256_castps_si256(value), broadcast(0x7FFFFFFF));
  __m256i e = _mm256_sub_epi32(_mm256_srli_epi32(bits, 23), broadcast(127));
  e = _mm256_max_epi32(e, broadcast(least));
  return _mm256_blendv_epi8(e, broadcast(kZeroExponent),
                            _mm256_cmpeq_epi32(bits, _mm256_setzero_si256()));
}

/// value * 2^shift as an integer, toward zero; less than 2^31. In two steps,
/// since 2^shift alone may have no f32 exponent; what gets too small on the way
/// is less than 1.
inline __m256i alignTo(__m256 value, __m256i shift) {
  shift = _mm256_max_epi32(shift, broadcast(-200));
  __m256i half = _mm256_srai_epi32(shift, 1);
  value = _mm256_mul_ps(value, powerOfTwo(half));
  value = _mm256_mul_ps(value, powerOfTwo(_mm256_sub_epi32(shift, half)));
  return _mm256_cvttps_epi32(value);
}

/// 2^exponent as doubles.
inline __m256d powerOfTwoDouble(__m128i exponent) {
  return _mm256_castsi256_pd(
      _mm256_slli_epi64(_mm256_add_epi64(_mm256_cvtepi32_epi64(exponent),
                                         _mm256_set1_epi64x(1023)),
                        52));
}

/// (first + second) * 2^shift as f32, toward zero, as the host rounds here. The
/// sum of 16 products may need more than 32 bits.
template <unsigned Chunk>
inline __m256 roundSum(__m256i first, __m256i second, __m256i shift) {
  if (Chunk <= 8) {
    // The sum is at least 1 or 0, so that half the shift leaves it normal.
    __m256i half = _mm256_srai_epi32(shift, 1);
    __m256 sum = _mm256_mul_ps(_mm256_cvtepi32_ps(first), powerOfTwo(half));
    return _mm256_mul_ps(sum, powerOfTwo(_mm256_sub_epi32(shift, half)));
  }
  __m128 halves[2];
  for (int h = 0; h < 2; ++h) {
    auto part = [&](__m256i v) {
      return h ? _mm256_extracti128_si256(v, 1) : _mm256_castsi256_si128(v);
    };
    __m256d sum = _mm256_add_pd(_mm256_cvtepi32_pd(part(first)),
                                _mm256_cvtepi32_pd(part(second)));
    halves[h] =
        _mm256_cvtpd_ps(_mm256_mul_pd(sum, powerOfTwoDouble(part(shift))));
  }
  return _mm256_set_m128(halves[1], halves[0]);
}

/// Exponents of C, of which zeros are like the smallest numbers.
inline __m256i exponentsOfC(__m256 c) {
  __m256i biased = _mm256_and_si256(
      _mm256_srli_epi32(_mm256_castps_si256(c), 23), broadcast(0xFF));
  return _mm256_max_epi32(_mm256_sub_epi32(biased, broadcast(127)),
                          broadcast(-126));
}

/// Eight rows of one column of D for `Count` values of k; `greatest` are the
/// greatest exponents of the products.
template <unsigned Count>
inline __m256 dotColumn(const __m256 *a, const float *b, __m256i greatest,
                        int fraction, __m256 c) {
  greatest = _mm256_max_epi32(greatest, exponentsOfC(c));
  __m256i up = _mm256_sub_epi32(broadcast(fraction), greatest);
  // The products are exact in f32, and so is this scaling of them: their
  // exponents lie between -48 and 32. 2^126 is as far as it goes; where more
  // would be needed, all products are 0, and C takes two steps, there and back.
  bool isFar = !_mm256_testz_si256(_mm256_cmpgt_epi32(up, broadcast(126)),
                                   broadcast(-1));
  __m256 scale = powerOfTwo(isFar ? _mm256_min_epi32(up, broadcast(126)) : up);
  // Up to 9 terms of less than 2^27 in each.
  __m256i sum[2] = {isFar ? alignTo(c, up)
                          : _mm256_cvttps_epi32(_mm256_mul_ps(c, scale)),
                    _mm256_setzero_si256()};
  for (unsigned k = 0; k < Count; ++k) {
    __m256 product = _mm256_mul_ps(a[k], _mm256_broadcast_ss(b + k));
    sum[k / 8] = _mm256_add_epi32(
        sum[k / 8], _mm256_cvttps_epi32(_mm256_mul_ps(product, scale)));
  }
  if (Count > 8 || isFar)
    return roundSum<Count>(sum[0], sum[1],
                           _mm256_sub_epi32(greatest, broadcast(fraction)));
  // 1 / scale: its exponent is the other one of two that add up to 2 * 127.
  __m256 back = _mm256_castsi256_ps(
      _mm256_sub_epi32(broadcast(254 << 23), _mm256_castps_si256(scale)));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(sum[0]), back);
}

/// An 8 x 8 matrix of floats, transposed in place.
inline void transpose8(__m256 (&r)[8]) {
  __m256 t[8];
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
    t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
  }
  for (int i = 0; i < 8; ++i)
    r[i] = t[i];
}

/// The host must round toward zero, and this must not be inlined where it does
/// not: to the compiler all roundings are one.
template <unsigned K, unsigned Chunk>
__attribute__((noinline)) void multiplyFinite(int fraction,
                                              const TileOperands &operands) {
  // A by k, of the upper and of the lower eight rows.
  __m256 a[2][K];
  // Of all 16 rows: the upper ones 0 to 3, the lower ones 0 to 3, then the
  // rest.
  __m256i aExponents[K];
  __m256i exponentsOfPart[2][K];
  for (unsigned part = 0; part < 2; ++part)
    for (unsigned half = 0; half < K / 8; ++half) {
      __m256 rows[8];
      for (unsigned row = 0; row < 8; ++row)
        rows[row] = _mm256_cvtph_ps(loadHalf(operands.a[2 * half + part], row));
      transpose8(rows);
      for (unsigned k = 0; k < 8; ++k) {
        a[part][8 * half + k] = rows[k];
        exponentsOfPart[part][8 * half + k] = exponents(rows[k], -14);
      }
    }
  for (unsigned k = 0; k < K; ++k)
    aExponents[k] =
        _mm256_packs_epi32(exponentsOfPart[0][k], exponentsOfPart[1][k]);
  const __m256i lanes = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  for (unsigned column = 0; column < kColumns; ++column) {
    alignas(32) float b[K];
    alignas(32) int16_t bExponents[K];
    bool isZero = true;
    for (unsigned half = 0; half < K / 8; ++half) {
      __m128i halves = loadHalf(operands.b[half], column);
      isZero &= _mm_testz_si128(halves, _mm_set1_epi16(0x7FFF)) != 0;
      __m256 values = _mm256_cvtph_ps(halves);
      _mm256_store_ps(b + 8 * half, values);
      __m256i e = exponents(values, -14);
      _mm_store_si128(reinterpret_cast<__m128i *>(bExponents + 8 * half),
                      _mm_packs_epi32(_mm256_castsi256_si128(e),
                                      _mm256_extracti128_si256(e, 1)));
    }
    __m256i greatest[2][K / Chunk];
    for (unsigned chunk = 0; chunk < K / Chunk; ++chunk) {
      __m256i most = _mm256_set1_epi16(kZeroExponent);
      for (unsigned k = chunk * Chunk; k < (chunk + 1) * Chunk; ++k)
        most = _mm256_max_epi16(
            most,
            _mm256_adds_epi16(aExponents[k], _mm256_set1_epi16(bExponents[k])));
      // Back to 32 bits: the halves of words that packing put side by side.
      __m256i sign = _mm256_srai_epi16(most, 15);
      greatest[0][chunk] = _mm256_unpacklo_epi16(most, sign);
      greatest[1][chunk] = _mm256_unpackhi_epi16(most, sign);
    }
    for (unsigned part = 0; part < 2; ++part) {
      unsigned i = 2 * part + column % 2;
      __m256 c = _mm256_castsi256_ps(_mm256_i32gather_epi32(
          reinterpret_cast<const int *>(operands.c[i] + column / 2), lanes, 4));
      if (isZero)
        // All products are 0 (A is finite), so D is C: its significand fits
        // into the fraction bits. Only -0 + 0 is +0.
        c = _mm256_add_ps(c, _mm256_setzero_ps());
      else
        for (unsigned k = 0; k < K; k += Chunk)
          c = dotColumn<Chunk>(a[part] + k, b + k, greatest[part][k / Chunk],
                               fraction, c);
      alignas(32) uint32_t bits[8];
      _mm256_store_si256(reinterpret_cast<__m256i *>(bits),
                         _mm256_castps_si256(c));
      for (unsigned row = 0; row < 8; ++row)
        operands.d[i][row * 4 + column / 2] = bits[row];
    }
  }
}

/// Whether any of 32 registers of fp16 pairs holds an infinity or NaN.
inline bool hasNonFinite(const uint32_t *registers) {
  const __m256i exponent = _mm256_set1_epi16(0x7C00);
  __m256i found = _mm256_setzero_si256();
  for (unsigned first = 0; first < 32; first += 8) {
    __m256i bits = _mm256_loadu_si256(
        reinterpret_cast<const __m256i *>(registers + first));
    found = _mm256_or_si256(
        found, _mm256_cmpeq_epi16(_mm256_and_si256(bits, exponent), exponent));
  }
  return !_mm256_testz_si256(found, found);
}

/// Whether any of 32 floats is 2^113 or more, infinite or NaN.
inline bool hasLarge(const uint32_t *registers) {
  __m256i found = _mm256_setzero_si256();
  for (unsigned first = 0; first < 32; first += 8) {
    __m256i bits =
        _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(
                             registers + first)),
                         broadcast(0x7FFFFFFF));
    found =
        _mm256_or_si256(found, _mm256_cmpgt_epi32(bits, broadcast(0x77FFFFFF)));
  }
  return !_mm256_testz_si256(found, found);
}

} // namespace

bool multiplyFloatsAvx2(const FloatTile &tile, const TileOperands &operands) {
  if (tile.bfloat || tile.halfAccumulator)
    return false;
  // Infinities, NaNs, and sums that could overflow go the slow way.
  unsigned registers = tile.k == 16 ? 2 : 1;
  for (unsigned i = 0; i < registers * 2; ++i)
    if (hasNonFinite(operands.a[i]))
      return false;
  for (unsigned i = 0; i < registers; ++i)
    if (hasNonFinite(operands.b[i]))
      return false;
  for (const uint32_t *c : operands.c)
    if (hasLarge(c))
      return false;
  auto fraction = static_cast<int>(tile.fractionBits);
  unsigned mode = _mm_getcsr();
  _mm_setcsr(mode | _MM_ROUND_TOWARD_ZERO);
  if (tile.k == 8)
    multiplyFinite<8, 8>(fraction, operands);
  else if (tile.chunk == 8)
    multiplyFinite<16, 8>(fraction, operands);
  else
    multiplyFinite<16, 16>(fraction, operands);
  _mm_setcsr(mode);
  return true;
}

} // namespace odyssey::runtime::emulator

ODYSSEY_END_AVX2

#endif // ODYSSEY_HAS_AVX2
