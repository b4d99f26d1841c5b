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

#include <functional>

namespace odyssey::conversion {

/// The CTAs that share one tile, numbered from 0.
struct TileShare {
  /// How many there are, and which one this is; i32.
  Val arrivals, self;
  /// The tile's counter among those of the kernel.
  Val counter;
  /// The slot of each of them, by number.
  std::function<Val(Val)> slotOf;
};

/// The threads of a CTA that have sums: those below `threads`.
struct SummingThreads {
  int64_t threads;
  /// Emits a barrier of all of them, and of no other thread.
  std::function<void()> barrier;
  /// 4 bytes of shared memory that nobody else uses behind that barrier.
  Val mailbox;
};

class PartialSums {
public:
  /// Asks for the kernel's scratch memory and counters. Each of the threads has
  /// `vectors` vectors of four sums; a CTA needs `slotsPerCta`.
  PartialSums(KernelBuilder &k, SummingThreads summing, int64_t vectors,
              int64_t slotsPerCta);

  /// Leaves `sums` in this CTA's slot; where it is the last of `share`, which
  /// are at least two, to do so, runs `body` with the sums of all. All threads
  /// that have sums call this together.
  void combine(llvm::ArrayRef<Val> sums, const TileShare &share,
               llvm::function_ref<void(llvm::ArrayRef<Val>)> body);

  /// The same where the tile may be this CTA's alone: `body` is then run with
  /// `sums`, and memory is not touched.
  void combineIfShared(llvm::ArrayRef<Val> sums, const TileShare &share,
                       llvm::function_ref<void(llvm::ArrayRef<Val>)> body);

private:
  /// Address of this thread's first vector in a slot.
  Val inSlot(Val slot);
  int64_t slotBytes() const { return summing.threads * vectors * 16; }
  /// Leaves the sums; returns whether all others have done so.
  Val leave(llvm::ArrayRef<Val> sums, const TileShare &share);
  /// `sums` and those that the others have left.
  llvm::SmallVector<Val> addOthers(llvm::ArrayRef<Val> sums,
                                   const TileShare &share);

  KernelBuilder &k;
  SummingThreads summing;
  int64_t vectors;
  Val scratch, counters;
};

/// Stream-K: the stages of all tiles stand in one row, tile after tile, and
/// CTA c of C takes those from c S / C to (c + 1) S / C of all S. Where C is a
/// multiple of the number of tiles, parts begin where tiles do.
///
/// A CTA may leave the sums of two tiles: slot 2c of a tile that it does not
/// begin, slot 2c + 1 of one that it begins and does not end.
struct StreamParts {
  static constexpr int64_t kSlotsPerCta = 2;

  /// `tiles` (i32) tiles, at least `leastTiles`, of `stagesOfTile` stages each.
  /// Of `mostCtas` there are only as many that every one has a stage. `tiles`
  /// times CTAs has to be below 2^32.
  StreamParts(KernelBuilder &k, Val tiles, int64_t leastTiles,
              int64_t stagesOfTile, int64_t mostCtas)
      : ctas(ctaCount(leastTiles, stagesOfTile, mostCtas)), k(k), tiles(tiles),
        stagesOfTile(stagesOfTile) {}

  static int64_t ctaCount(int64_t leastTiles, int64_t stagesOfTile,
                          int64_t mostCtas) {
    return std::min(mostCtas, leastTiles * stagesOfTile);
  }

  /// The first stage of a CTA in the row.
  Val begin(Val cta);
  /// The CTAs that share a tile, of which `cta` is one.
  TileShare shareOf(Val tile, Val cta);

  /// How many CTAs there are.
  int64_t ctas;

private:
  KernelBuilder &k;
  Val tiles;
  int64_t stagesOfTile;
};

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_PARTIALSUMS_H
