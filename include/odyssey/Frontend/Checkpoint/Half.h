//===- Half.h - fp16 as bits ------------------------------------*- C++ -*-===//
//
// Conversions between fp32 and IEEE fp16 held in a uint16_t. Written with
// integers and without branches, so that they give the same bits on every host
// and compilers vectorize them. No LLVM: the reference model uses this too.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_HALF_H
#define ODYSSEY_FRONTEND_CHECKPOINT_HALF_H

#include <bit>
#include <cstdint>

namespace odyssey {

/// The largest finite fp16.
inline constexpr float maxHalf = 65504.0f;

/// Exact.
inline float halfToFloat(uint16_t half) {
  uint32_t magnitude = half & 0x7fffu;
  // Normal numbers: move the exponent's bias from 15 to 127.
  uint32_t bits = (magnitude << 13) + ((127u - 15u) << 23);
  // Infinity and NaN: the exponent stays all ones.
  uint32_t special = bits + ((128u - 16u) << 23);
  bits = magnitude >= 0x7c00u ? special : bits;
  // Zero and subnormals: magnitude * 2^-24, exact in fp32.
  uint32_t small =
      std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  bits = magnitude < 0x0400u ? small : bits;
  return std::bit_cast<float>(bits |
                              (static_cast<uint32_t>(half & 0x8000u) << 16));
}

/// Rounds to nearest, ties to even; beyond 65520 gives infinity; any NaN gives
/// a quiet NaN.
inline uint16_t floatToHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t sign = (bits >> 16) & 0x8000u;
  bits &= 0x7fffffffu;
  // Normal results: rebias, then add just under half of the last place, plus
  // one if the last place is odd. A carry runs into the exponent, rightly.
  uint32_t odd = (bits >> 13) & 1u;
  uint32_t normal = (bits - ((127u - 15u) << 23) + 0xfffu + odd) >> 13;
  // Subnormal results: adding 0.5 puts the unit of 2^-24 at fp32's last place,
  // so the addition itself rounds.
  uint32_t subnormal =
      std::bit_cast<uint32_t>(std::bit_cast<float>(bits) + 0.5f) -
      std::bit_cast<uint32_t>(0.5f);
  uint32_t result = bits < 0x38800000u ? subnormal : normal;
  result = bits >= 0x47800000u ? 0x7c00u : result; // 65536 and beyond
  result = bits > 0x7f800000u ? 0x7e00u : result;
  return static_cast<uint16_t>(result | sign);
}

/// `value` rounded to the nearest fp16.
inline float roundToHalf(float value) {
  return halfToFloat(floatToHalf(value));
}

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_HALF_H
