//===- RotaryHead.h - Rotary embedding of one head --------------*- C++ -*-===//
//
// What the kernels that rotate queries and keys share. Heads are rotated in
// pairs (i, i + d/2) by the token's position (docs/numerics.md, N21). A head in
// a warp is held as lane i having the pairs i, i + 32, ..., so that the order
// of its sum of squares depends on the head dimension alone.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ROTARYHEAD_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ROTARYHEAD_H

#include "CachePages.h"
#include "KernelBuilder.h"

namespace odyssey::conversion {

/// One pair of a head: elements i and i + d/2, widened.
struct Pair {
  Val low, high;
};

/// One head of 2 * `half` elements in the registers of a warp.
class WarpHead {
public:
  WarpHead(KernelBuilder &k, int64_t half)
      : k(k), half(half), lane(k.threadIndex() & 31) {}

  void load(Val from);
  void normalize(Val weight, float epsilon);
  /// By the angles that stand at `angles`, the token's row of the table; rounds
  /// to fp16.
  void rotate(Val angles);
  void storeF16(Val to);
  /// Rounds a query so that its products with keys are exact (N21).
  void roundQuery();
  /// As the integers of a cache, and their scale: of 8 bits (N7), or in fp16.
  void storeInt8(Val to, Val scale);
  void storeKey(Val to, Val scale);
  void storeValue(Val to, Val scale);

private:
  /// The sum of squares, in the order of N21, and the greatest magnitude; every
  /// lane has them.
  Val sumOfSquares();
  Val largest();
  /// As rne(x * factor) in fp16.
  void storeHalfIntegers(Val to, Val factor);
  /// Runs `body` for each of the lane's pairs inside the head.
  void forEach(llvm::function_ref<void(Pair &, Val)> body);
  /// `value` where the pair is inside the head, else 0.
  Val inHead(Val index, int64_t round, llvm::function_ref<Val()> value) {
    if ((round + 1) * 32 <= half)
      return value();
    return k.ifElse(index < half, value, [&] { return k.constantF32(0.0f); });
  }
  /// Replaces the pairs by what `body` makes of them, element for element.
  void map(llvm::function_ref<Pair(Pair, Val)> body);

  KernelBuilder &k;
  int64_t half;
  Val lane;
  llvm::SmallVector<Pair> pairs;
};

/// Where a token's keys and values go.
struct CacheRow {
  const CachePages &cache;
  /// The keys of KV head 0 of the token's page, and the token's row in a page.
  Val page, row;

  void store(KernelBuilder &k, WarpHead &head, Val kvHead, bool isValue) const;
};

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ROTARYHEAD_H
