//===- AttentionPages.h - Pages of the KV cache in shared memory -*- C++
//-*-===//
//
// What the attention kernels share: how a page of one KV head comes into shared
// memory, the tensor core fragments that are read from it, and what a row makes
// of its scores on a page. A page is 64 rows of keys followed by 64 rows of
// values in fp16, each row cut into pieces of 16 bytes (8 elements), which are
// swizzled, and the rows' scales. Pages of a cache of 8-bit integers come as
// they are and are widened to such a page before they are used.
//
// All sums of products are of integers, and small enough to be exact on the
// tensor cores of any GPU (docs/numerics.md, N22).
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

/// A page in shared memory: bytes from its beginning on.
struct PagePlace {
  /// Keys, then values, in fp16: a multiple of 1024.
  Val rows;
  /// Of the keys' rows, and of the values'.
  Val keyScales, valueScales;
};

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
  int64_t rowsBytes() const { return 2 * halfBytes(); }
  /// What `start` copies.
  int64_t slotBytes() const { return 2 * cache.headBytes(); }
  /// Shared memory of all slots, from its beginning on, and of a page that
  /// integers are widened to.
  int64_t sharedBytes() const {
    return cache.isInt8 ? widenedPage() + rowsBytes() : slots * slotBytes();
  }

  /// The first page's keys of head `kvHead` in layer `layer`.
  Val headBase(Val base, Val layer, Val kvHead);
  /// Starts to copy page number `page` of the head at `base` to slot `slot`.
  void start(Val slot, Val base, Val page);
  /// The page that has come to `slot` and is visible to all threads; so is what
  /// is returned. Nobody may still read the page before.
  PagePlace finish(Val slot);

  /// A B fragment of keys: the scores' columns are 8 positions from `position`
  /// + `more` (a multiple of 8) on, k is step `step` of the elements. What does
  /// not exist is zero.
  Val keyFragment(const PagePlace &page, Val position, int64_t more,
                  int64_t step);
  /// A B fragment of values: k are the 16 positions from `position` (a multiple
  /// of 16) on, the columns the 8 elements of piece `piece` + `more`, where
  /// `piece` is 0 or `more` is.
  Val valueFragment(const PagePlace &page, int64_t position, Val piece,
                    int64_t more);
  /// Of `scales`, those of this lane's two columns among the 8 positions from
  /// `position` on.
  Val columnScales(Val scales, Val position);

  CachePages cache;
  /// Pages for which there is shared memory.
  int64_t slots = 0;

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
  void widen(Val slot, Val rows);
  /// Rows in fp16 are aligned to 1024 bytes, as the swizzle needs.
  int64_t widenedPage() const {
    return (slots * slotBytes() + 1023) / 1024 * 1024;
  }
  /// Bytes of a page's scales, and where they stand where rows are fp16.
  int64_t scalesBytes() const { return 2 * kPage * graph::kCacheScaleBytes; }
  Val scalesOf(Val slot) { return slot * scalesBytes() + slots * rowsBytes(); }

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
  /// Sums of weights times values as vectors of four; the greatest score; the
  /// sum of the exponentials.
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

/// The factor of `scale` and log2(e) that makes scores exponents of two.
Val scoreFactor(KernelBuilder &k, float scale);

/// Four scores of a lane, of one row on 16 positions of a page (N22): the
/// exponentials times the values' scales, and the sums of both.
struct BlockWeights {
  llvm::SmallVector<Val> products;
  Val exponentials, sum;
};
/// For `scores` (minus infinity where invisible) and the greatest score of the
/// row's page.
BlockWeights blockWeights(KernelBuilder &k, llvm::ArrayRef<Val> scores,
                          llvm::ArrayRef<Val> valueScales, Val maximum);

/// What a row has seen of a chunk but for the values: the greatest score and
/// the sum of the exponentials.
struct RowState {
  Val maximum, sum;
};
/// How a page goes into it: what a lane's products are multiplied with to
/// become weights, and what the sums before and those of weights times values
/// are multiplied with.
struct PageFactors {
  Val weights, before, page;
};
/// Adds a page to `state`. `maximum` is the row's greatest score on it;
/// `exponentials` and `products` are the lane's sums, which four lanes add.
PageFactors addPage(KernelBuilder &k, RowState &state, Val maximum,
                    Val exponentials, Val products);
/// The lane's weights as fp16 integers.
llvm::SmallVector<Val> roundWeights(KernelBuilder &k,
                                    llvm::ArrayRef<Val> products,
                                    const PageFactors &factors);
/// An accumulator of m16n8, of the pages before, and that of this page, whose
/// rows g and g + 8 have these factors.
Val addToRows(KernelBuilder &k, Val before, Val page,
              const PageFactors (&rows)[2]);

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ATTENTIONPAGES_H
