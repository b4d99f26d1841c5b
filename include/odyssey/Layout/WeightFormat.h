//===- WeightFormat.h - How a product's weights are kept --------*- C++ -*-===//
//
// What layouts, schedules and costs need to know of the weights of a product
// besides their shape (docs/numerics.md, N6, N28 and N35).
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LAYOUT_WEIGHTFORMAT_H
#define ODYSSEY_LAYOUT_WEIGHTFORMAT_H

#include <compare>
#include <cstdint>

namespace odyssey::layout {

struct WeightFormat {
  /// Bits of a weight: 4 or 8.
  int64_t bits = 4;
  /// Input channels that share a multiplier, which weights of 4 bits may have:
  /// 32, 64 or 128; 0 where there are none.
  int64_t groupSize = 0;

  friend auto operator<=>(const WeightFormat &, const WeightFormat &) = default;

  /// Bytes of `weights` weights, which fill whole bytes.
  int64_t bytes(int64_t weights) const { return weights * bits / 8; }
  /// What a weight q stands as in a product's sum, as a multiple of q: weights
  /// of 4 bits are unpacked as 16 q, those of 8 bits stand for themselves, and
  /// so do those with multipliers, m q.
  int64_t factor() const { return bits == 4 && groupSize == 0 ? 16 : 1; }
  /// The largest K for which no sum can leave 32 bits: 127 * 128 * K < 2^31
  /// for weights unpacked from 4 bits, 127 * 127 * K < 2^31 for weights of 8
  /// bits, whose least is -127.
  int64_t maxK() const { return bits == 8 ? 133144 : 132104; }
};

/// Whether there are products of weights of so many bits.
constexpr bool isWeightWidth(int64_t bits) { return bits == 4 || bits == 8; }

} // namespace odyssey::layout

#endif // ODYSSEY_LAYOUT_WEIGHTFORMAT_H
