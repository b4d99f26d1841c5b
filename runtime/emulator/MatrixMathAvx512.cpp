//===- MatrixMathAvx512.cpp - Arithmetic of mma fragments, AVX-512 --------===//

#include "MatrixMath.h"
#include "Targets.h"

#ifdef ODYSSEY_HAS_AVX512

#include <cstring>

ODYSSEY_BEGIN_AVX512

namespace odyssey::runtime::emulator {

namespace {

/// Columns 2t (odd = false) or 2t + 1 of B at k group `group`, for the four t
/// of each 128-bit part: what the lanes of a vector of c registers need.
inline __m512i spreadColumns(__m512i low, __m512i high, int group, bool odd) {
  int base = (odd ? 4 : 0) + group;
  __m128i index = _mm_setr_epi32(base, base + 8, base + 16, base + 24);
  return _mm512_permutex2var_epi32(low, _mm512_broadcast_i32x4(index), high);
}

/// Row of A at k group `Group`, the same for the four t of each 128-bit part.
template <int Group> inline __m512i spreadRows(__m512i a) {
  return _mm512_shuffle_epi32(a, _MM_PERM_ENUM(Group * 0x55));
}

template <int Group>
inline void multiplyGroup(const __m512i (&a)[4], __m512i bLow, __m512i bHigh,
                          __m512i (&sum)[8], __m512i (&columns)[2]) {
  const __m512i ones = _mm512_set1_epi8(-128);
  __m512i even = spreadColumns(bLow, bHigh, Group, false);
  __m512i odd = spreadColumns(bLow, bHigh, Group, true);
  columns[0] = _mm512_dpbusd_epi32(columns[0], ones, even);
  columns[1] = _mm512_dpbusd_epi32(columns[1], ones, odd);
  for (int i = 0; i < 4; ++i) {
    __m512i rows = spreadRows<Group>(a[i]);
    sum[i * 2] = _mm512_dpbusd_epi32(sum[i * 2], rows, even);
    sum[i * 2 + 1] = _mm512_dpbusd_epi32(sum[i * 2 + 1], rows, odd);
  }
}

inline void multiplyHalf(const uint32_t *top, const uint32_t *bottom,
                         const uint32_t *b, __m512i (&sum)[8],
                         __m512i (&columns)[2]) {
  // The dot product takes one unsigned operand: A + 128. What that adds,
  // 128 times the sum of a column of B, is gathered in `columns`.
  const __m512i sign = _mm512_set1_epi8(-128);
  __m512i a[4] = {
      _mm512_xor_si512(_mm512_loadu_si512(top), sign),
      _mm512_xor_si512(_mm512_loadu_si512(top + 16), sign),
      _mm512_xor_si512(_mm512_loadu_si512(bottom), sign),
      _mm512_xor_si512(_mm512_loadu_si512(bottom + 16), sign),
  };
  __m512i low = _mm512_loadu_si512(b), high = _mm512_loadu_si512(b + 16);
  multiplyGroup<0>(a, low, high, sum, columns);
  multiplyGroup<1>(a, low, high, sum, columns);
  multiplyGroup<2>(a, low, high, sum, columns);
  multiplyGroup<3>(a, low, high, sum, columns);
}

} // namespace

bool multiplyIntegersAvx512(const IntegerTile &tile,
                            const TileOperands &operands) {
  if (!tile.aSigned || !tile.bSigned || tile.saturate)
    return false;
  // sum[2 r + j]: part r of the rows (0-3, 4-7, 8-11, 12-15), column 2t + j.
  __m512i sum[8], columns[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (int part = 0; part < 4; ++part)
    for (int j = 0; j < 2; ++j)
      sum[part * 2 + j] =
          _mm512_loadu_si512(operands.c[part / 2 * 2 + j] + part % 2 * 16);
  multiplyHalf(operands.a[0], operands.a[1], operands.b[0], sum, columns);
  if (tile.k == 32)
    multiplyHalf(operands.a[2], operands.a[3], operands.b[1], sum, columns);
  for (int part = 0; part < 4; ++part)
    for (int j = 0; j < 2; ++j)
      _mm512_storeu_si512(operands.d[part / 2 * 2 + j] + part % 2 * 16,
                          _mm512_sub_epi32(sum[part * 2 + j], columns[j]));
  return true;
}

namespace {

#include "Interleave.inc"

/// A 16 x 16 matrix of 32-bit values, transposed in place.
inline void transpose16(__m512i (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xDD);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xDD);
  }
  for (int i = 0; i < 8; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xDD);
  }
}

/// No product or sum has an exponent as low as this.
constexpr int kZeroExponent = -20000;

/// Exponents as the tensor core sees them: subnormal numbers have the least
/// normal one, zeros count for nothing.
inline __m512i exponents(__m512 value, int least) {
  __m512i e = _mm512_cvtps_epi32(_mm512_getexp_ps(value));
  e = _mm512_max_epi32(e, _mm512_set1_epi32(least));
  __mmask16 zero = _mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_EQ_OQ);
  return _mm512_mask_mov_epi32(e, zero, _mm512_set1_epi32(kZeroExponent));
}

/// value * 2^shift as an integer, toward zero.
inline __m512i alignTo(__m512 value, __m512i shift) {
  return _mm512_cvttps_epi32(
      _mm512_scalef_ps(value, _mm512_cvtepi32_ps(shift)));
}

/// (first + second) * 2^shift as f32, toward zero. The sum of 16 products may
/// need more than 32 bits.
template <unsigned Chunk>
inline __m512 roundSum(__m512i first, __m512i second, __m512i shift) {
  constexpr int kTowardZero = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
  if (Chunk <= 8)
    return _mm512_scalef_round_ps(_mm512_cvt_roundepi32_ps(first, kTowardZero),
                                  _mm512_cvtepi32_ps(shift), kTowardZero);
  __m512 halves[2];
  for (int h = 0; h < 2; ++h) {
    __m256i a =
        h ? _mm512_extracti64x4_epi64(first, 1) : _mm512_castsi512_si256(first);
    __m256i b = h ? _mm512_extracti64x4_epi64(second, 1)
                  : _mm512_castsi512_si256(second);
    __m256i s =
        h ? _mm512_extracti64x4_epi64(shift, 1) : _mm512_castsi512_si256(shift);
    __m512d sum = _mm512_add_pd(_mm512_cvtepi32_pd(a), _mm512_cvtepi32_pd(b));
    sum = _mm512_scalef_pd(sum, _mm512_cvtepi32_pd(s));
    halves[h] = _mm512_castps256_ps512(_mm512_cvt_roundpd_ps(sum, kTowardZero));
  }
  return _mm512_insertf32x8(halves[0], _mm512_castps512_ps256(halves[1]), 1);
}

/// One column of D for `Count` values of k: the 16 rows are the elements.
template <unsigned Count>
inline __m512 dotColumn(const __m512 *a, const __m512i *aExponents,
                        const float *b, const int *bExponents, int fraction,
                        __m512 c) {
  __m512i greatest =
      _mm512_max_epi32(exponents(c, -126), _mm512_set1_epi32(-126));
#pragma clang loop unroll(full)
  for (unsigned k = 0; k < Count; ++k)
    greatest = _mm512_max_epi32(
        greatest,
        _mm512_add_epi32(aExponents[k], _mm512_set1_epi32(bExponents[k])));
  __m512i up = _mm512_sub_epi32(_mm512_set1_epi32(fraction), greatest);
  __m512i sum[2] = {alignTo(c, up), _mm512_setzero_si512()};
  // The products are exact in f32, and so is this scaling of them: their
  // exponents lie between -48 and 32. 2^127 is as far as it goes; where more
  // would be needed, all products are 0.
  __m512 scale = _mm512_castsi512_ps(_mm512_slli_epi32(
      _mm512_add_epi32(_mm512_min_epi32(up, _mm512_set1_epi32(127)),
                       _mm512_set1_epi32(127)),
      23));
#pragma clang loop unroll(full)
  for (unsigned k = 0; k < Count; ++k) {
    __m512 product = _mm512_mul_ps(a[k], _mm512_set1_ps(b[k]));
    sum[k / 8] = _mm512_add_epi32(
        sum[k / 8], _mm512_cvttps_epi32(_mm512_mul_ps(product, scale)));
  }
  return roundSum<Count>(
      sum[0], sum[1], _mm512_sub_epi32(greatest, _mm512_set1_epi32(fraction)));
}

inline __mmask32 nonFinite(const uint32_t *row) {
  const __m512i exponent = _mm512_set1_epi16(0x7C00);
  __mmask32 result = 0;
  for (int h = 0; h < 2; ++h) {
    __m512i bits = _mm512_loadu_si512(row + 16 * h);
    result |=
        _mm512_cmpeq_epi16_mask(_mm512_and_si512(bits, exponent), exponent);
  }
  return result;
}

/// Registers 2t + j of columns: four of C or D as columns j, 2 + j, 4 + j, 6 +
/// j of 16 rows.
inline void loadColumns(const uint32_t *const *c, unsigned j,
                        __m512i (&columns)[4]) {
  const __m512i z[4] = {_mm512_loadu_si512(c[j]), _mm512_loadu_si512(c[j] + 16),
                        _mm512_loadu_si512(c[2 + j]),
                        _mm512_loadu_si512(c[2 + j] + 16)};
  deinterleave4(z, columns);
}

inline void storeColumns(uint32_t *const *d, unsigned j,
                         const __m512i (&columns)[4]) {
  __m512i z[4];
  interleave4(columns, z);
  _mm512_storeu_si512(d[j], z[0]);
  _mm512_storeu_si512(d[j] + 16, z[1]);
  _mm512_storeu_si512(d[2 + j], z[2]);
  _mm512_storeu_si512(d[2 + j] + 16, z[3]);
}

/// 16 bytes of row or column `line` of a fragment's registers, and behind them
/// those of the second half of k, if there is one.
inline __m256i loadLine(const uint32_t *first, const uint32_t *second,
                        unsigned line) {
  auto part = [&](const uint32_t *row) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i *>(row + line * 4));
  };
  return _mm256_set_m128i(second ? part(second) : _mm_setzero_si128(),
                          part(first));
}

template <unsigned K, unsigned Chunk>
void multiplyFinite(int fraction, const TileOperands &operands) {
  constexpr bool kTwo = K == 16;
  // A by k: element `row` of a[k].
  __m512i rows[16];
  for (unsigned row = 0; row < 16; ++row)
    rows[row] = _mm512_castps_si512(_mm512_cvtph_ps(
        loadLine(operands.a[row / 8], kTwo ? operands.a[2 + row / 8] : nullptr,
                 row % 8)));
  transpose16(rows);
  __m512 a[K];
  __m512i aExponents[K];
  for (unsigned k = 0; k < K; ++k) {
    a[k] = _mm512_castsi512_ps(rows[k]);
    aExponents[k] = exponents(a[k], -14);
  }
  for (unsigned j = 0; j < 2; ++j) {
    __m512i columns[4];
    loadColumns(operands.c, j, columns);
    for (unsigned t = 0; t < 4; ++t) {
      __m512 c = _mm512_castsi512_ps(columns[t]);
      __m256i halves =
          loadLine(operands.b[0], kTwo ? operands.b[1] : nullptr, 2 * t + j);
      if (_mm256_testz_si256(halves, _mm256_set1_epi16(0x7FFF))) {
        // All products are 0 (A is finite), so D is C: its significand fits
        // into the fraction bits. Only -0 + 0 is +0.
        columns[t] = _mm512_castps_si512(_mm512_add_ps(c, _mm512_setzero_ps()));
        continue;
      }
      alignas(64) float b[16];
      alignas(64) int bExponents[16];
      __m512 values = _mm512_cvtph_ps(halves);
      _mm512_store_ps(b, values);
      _mm512_store_si512(bExponents, exponents(values, -14));
      for (unsigned k = 0; k < K; k += Chunk)
        c = dotColumn<Chunk>(a + k, aExponents + k, b + k, bExponents + k,
                             fraction, c);
      columns[t] = _mm512_castps_si512(c);
    }
    storeColumns(operands.d, j, columns);
  }
}

} // namespace

bool multiplyFloatsAvx512(const FloatTile &tile, const TileOperands &operands) {
  if (tile.bfloat || tile.halfAccumulator)
    return false;
  // Infinities, NaNs, and sums that could overflow go the slow way.
  unsigned registers = tile.k == 16 ? 2 : 1;
  __mmask32 special = 0;
  for (unsigned i = 0; i < registers * 2; ++i)
    special |= nonFinite(operands.a[i]);
  for (unsigned i = 0; i < registers; ++i)
    special |= nonFinite(operands.b[i]);
  const __m512i large = _mm512_set1_epi32(0x78000000);
  for (auto *c : operands.c)
    for (int h = 0; h < 2; ++h)
      special |= _mm512_cmpge_epi32_mask(
          _mm512_and_si512(_mm512_loadu_si512(c + 16 * h),
                           _mm512_set1_epi32(0x7FFFFFFF)),
          large);
  if (special)
    return false;
  auto fraction = static_cast<int>(tile.fractionBits);
  if (tile.k == 8)
    multiplyFinite<8, 8>(fraction, operands);
  else if (tile.chunk == 8)
    multiplyFinite<16, 8>(fraction, operands);
  else
    multiplyFinite<16, 16>(fraction, operands);
  return true;
}

} // namespace odyssey::runtime::emulator

ODYSSEY_END_AVX512

#endif // ODYSSEY_HAS_AVX512
