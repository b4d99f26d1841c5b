//===- AttentionPages.h - Pages of the KV cache in shared memory -*- C++
//-*-===//
//
// What the attention kernels share: how a page of one KV head comes into shared
// memory, and the tensor core fragments that are read from it. A page is 64
// rows of keys followed by 64 rows of values in fp16, each row cut into pieces
// of 16 bytes (8 elements), which are swizzled. Pages of a cache of 8-bit
// integers come as they are and are widened to such a page before they are
// used.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ATTENTIONPAGES_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ATTENTIONPAGES_H

#include "CachePages.h"
#include "KernelBuilder.h"

namespace odyssey::conversion {

/// A page's tokens: the columns of one tile of scores.
inline constexpr int64_t kPage = 64;
/// Pages of a chunk (docs/numerics.md, N22).
inline constexpr int64_t kChunkPages = graph::kAttentionChunk / kPage;

class AttentionPages {
public:
  /// For a CTA of `threads` threads.
  AttentionPages(KernelBuilder &k, mlir::MemRefType cache, int64_t threads)
      : cache(cache), k(k), threads(threads) {}

  /// 16-byte pieces of a row.
  int64_t pieces() const { return cache.headDim / 8; }
  /// Steps of 16 elements; the second half of the last one may not exist.
  int64_t steps() const { return (pieces() + 1) / 2; }
  /// Keys, or values, of a page in fp16, and both.
  int64_t halfBytes() const { return kPage * cache.headDim * 2; }
  int64_t pageBytes() const { return 2 * halfBytes(); }
  /// What `start` copies to: the page, or its integers and scales.
  int64_t slotBytes() const {
    return cache.isInt8 ? 2 * cache.headBytes() : pageBytes();
  }
  /// Shared memory of `count` slots from its beginning on, and of a page that
  /// integers are widened to.
  int64_t sharedBytes(int64_t count) const {
    return widenedPage(count) + (cache.isInt8 ? pageBytes() : 0);
  }

  /// The first page's keys of head `kvHead` in layer `layer`.
  Val headBase(Val base, Val layer, Val kvHead);
  /// Starts to copy page number `page` of the head at `base` to `slot`: bytes
  /// into shared memory, a multiple of 1024, as everywhere below.
  void start(Val slot, Val base, Val page);
  /// The page in fp16 of what has come to `slot`, one of `count`, and is
  /// visible to all threads; so is the page, when this returns. Nobody may
  /// still read the page before.
  Val finish(Val slot, int64_t count);

  // In what follows `slot` is a page in fp16.

  /// A B fragment of keys: the scores' columns are 8 positions from `position`
  /// + `more` (a multiple of 8) on, k is step `step` of the elements. What does
  /// not exist is zero.
  Val keyFragment(Val slot, Val position, int64_t more, int64_t step);
  /// A B fragment of values: k are the 16 positions from `position` (a multiple
  /// of 16) on, the columns the 8 elements of piece `piece` + `more`, where
  /// `piece` is 0 or `more` is.
  Val valueFragment(Val slot, int64_t position, Val piece, int64_t more);
  /// A B fragment of ones: numerators times it are their sums.
  Val ones();

  CachePages cache;

private:
  /// A piece of a row of the keys or values at `base`.
  struct Place {
    Val base, row, piece;
    /// Added to the row (a multiple of 8), and to a piece that has none of its
    /// bits.
    int64_t moreRows = 0, morePieces = 0;
  };
  Val address(const Place &place);
  void startRows(Val slot, Val source);
  void startBytes(Val slot, Val source);
  void widen(Val slot, Val page);
  /// Pages are aligned to 1024 bytes, as the swizzle needs.
  int64_t widenedPage(int64_t count) const {
    return (count * slotBytes() + 1023) / 1024 * 1024;
  }

  KernelBuilder &k;
  int64_t threads;
};

/// How a chunk is added to those before it: the factors of what has been merged
/// so far and of the chunk, and the maximum of both.
struct ChunkMerge {
  Val total, chunk, maximum;
};
/// `total` and `chunk` are the two maxima, of which one is finite.
ChunkMerge mergeFactors(KernelBuilder &k, Val total, Val chunk);

/// Eight neighbouring columns of a head, merged over chunks.
struct MergedPiece {
  /// Sums of numerators times values as vectors of four; the greatest score;
  /// the sum of the numerators.
  Val low, high, maximum, sum;

  static MergedPiece none(KernelBuilder &k);
  /// With one more chunk: its values, and its maximum and sum as a vector.
  MergedPiece with(KernelBuilder &k, Val low, Val high, Val stats) const;
  /// The quotient, rounded to fp16.
  llvm::SmallVector<Val> finish(KernelBuilder &k) const;

  llvm::SmallVector<Val> flat() const { return {low, high, maximum, sum}; }
  static MergedPiece fromFlat(llvm::ArrayRef<Val> all) {
    return {all[0], all[1], all[2], all[3]};
  }
  static constexpr size_t kValues = 4;
};

/// What a row sees of one page.
struct PageSoftmax {
  /// e_i, rounded to fp16, of each of the given scores.
  llvm::SmallVector<Val> numerators;
  /// What the sums over the pages before are multiplied with.
  Val factor;
};
/// For some `scores` of a row on a page (minus infinity where invisible), the
/// maximum `before` over the chunk's pages before, and that with all of the
/// row's scores of the page, `maximum`.
PageSoftmax pageSoftmax(KernelBuilder &k, llvm::ArrayRef<Val> scores,
                        Val before, Val maximum);

/// An accumulator of m16n8 with its rows g and g + 8 multiplied by these.
Val scaleRows(KernelBuilder &k, Val accumulator, Val factor, Val factor8);

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ATTENTIONPAGES_H
