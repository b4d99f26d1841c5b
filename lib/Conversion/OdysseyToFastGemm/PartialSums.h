//===- PartialSums.h - A tile's sum over K from several CTAs ----*- C++ -*-===//
//
// Split-K and stream-K for every path of a product: CTAs that share a tile
// leave their parts of its sums in global memory, and the one that arrives last
// adds them up and goes on with the epilogue. No CTA waits for another. Sums
// are 32-bit integers, so whoever comes last finds the same result.
//
// A slot holds what one CTA's threads have in registers, as they have it:
// vector f of thread t at byte (f * threads + t) * 16, which is one coalesced
// access a vector.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_PARTIALSUMS_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_PARTIALSUMS_H

#include "KernelBuilder.h"

namespace odyssey::conversion {

/// The CTAs that share one tile, numbered from 0.
struct TileShare {
  /// How many there are, and which one this is; i32.
  Val arrivals, self;
  /// The tile's counter among those of the kernel.
  Val counter;
  /// The slot of each of them, by number.
  llvm::function_ref<Val(Val)> slotOf;
};

class PartialSums {
public:
  /// Asks for the kernel's scratch memory and counters. Each of `threads`
  /// threads has `vectors` vectors of four sums; a CTA needs `slotsPerCta`.
  PartialSums(KernelBuilder &k, int64_t threads, int64_t vectors,
              int64_t slotsPerCta);

  /// Leaves `sums` in this CTA's slot; where it is the last of `share` to do
  /// so, runs `body` with the sums of all. All threads call this together. The
  /// first 4 bytes of shared memory must not be in use by other threads behind
  /// the next barrier; what body reads of them is undefined.
  void combine(llvm::ArrayRef<Val> sums, const TileShare &share,
               llvm::function_ref<void(llvm::ArrayRef<Val>)> body);

private:
  /// Address of this thread's first vector in a slot.
  Val inSlot(Val slot);
  int64_t slotBytes() const { return threads * vectors * 16; }

  KernelBuilder &k;
  int64_t threads, vectors;
  Val scratch, counters;
};

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_PARTIALSUMS_H
