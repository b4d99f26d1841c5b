//===- AttentionChunks.h - Attention over chunks of the KV length -*- C++
//-*-===//
//
// The part that the kernels of attention for decode (flash-decoding) share: a
// CTA computes chunks of 256 positions of one token and one KV head and leaves
// what they give in global memory. What those kernels do before and after
// stands in AttentionSplit.cpp and DecodeAttention.cpp.
//
// The rows of the tensor core tiles are the heads that share the KV head, up to
// 16. All four warps work on the same rows and the same page: warp w scores
// positions 16w to 16w + 15, the warps exchange maxima, sums and weights
// through shared memory, and each multiplies all weights with its quarter of
// the values' columns. Every number is still made by the same operations in the
// same order as where one warp does it all (Attention.cpp).
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ATTENTIONCHUNKS_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ATTENTIONCHUNKS_H

#include "AttentionPages.h"

namespace odyssey::conversion {

/// The attention of a kernel: sizes, and the addresses of its operands.
struct ChunkedAttention {
  mlir::MemRefType cacheType;
  int64_t heads, chunkCount, pagesPerSequence, splits;
  float scale;
  Val positions, sequences, pageTable, cache, layer;
};

/// Where chunks leave their sums, as tensors [tokens, heads, chunks, d] and
/// [tokens, heads, chunks, 2] of fp32: sums of weights times values, and the
/// greatest score and the sum of the exponentials.
struct ChunkResults {
  Val values, stats;
};

class ChunkEmitter {
public:
  /// Warps of a CTA: each scores 16 positions of a page.
  static constexpr int64_t kWarps = kPage / 16;
  static constexpr int64_t kThreads = kWarps * 32;
  /// Heads that one CTA takes, the rows of a tile.
  static constexpr int64_t kRows = 16;

  ChunkEmitter(KernelBuilder &k, const ChunkedAttention &op);

  /// Loads where this CTA's token is. In front of all else.
  void locate();
  /// The chunks up to the token's position; none for a token at position -1.
  Val chunks() {
    return (position + graph::kAttentionChunk) / graph::kAttentionChunk;
  }
  /// Computes this CTA's chunks, of which there is one at least. `loadQueries`
  /// is called once, while the first pages are on their way.
  void emitChunks(llvm::function_ref<llvm::SmallVector<Val>()> loadQueries,
                  const ChunkResults &results);
  /// A fragments of the queries, one per 16 elements, as in Attention.cpp.
  /// `rowAt(i)` is the address of the lane's row g + 8i, which has d elements.
  llvm::SmallVector<Val> loadQueries(llvm::function_ref<Val(int)> rowAt);

  /// CTAs of a token, in dimension 0 of the grid; tokens are in 1, splits in 2.
  int64_t tokenCtas() const { return pages.cache.kvHeads * rowBlocks; }
  /// Shared memory of all this, a multiple of 16 bytes.
  int64_t sharedBytes() const { return maximaBytes + kWarps * kRows * 4; }
  /// Shared memory of kWarps * 4 bytes that is free behind the last chunk and a
  /// barrier.
  int64_t freeBytes() const { return maximaBytes; }

  AttentionPages pages;
  int64_t heads, group, d, rowBlocks;
  Val lane, warp, token, position, kvHead;
  /// The first entry of the sequence's page table.
  Val table;
  /// Of this lane's rows g and g + 8: the head, and whether it exists.
  Val rowHead[2], rowValid[2];

private:
  /// A warp's quarter of the output's columns, and what its rows have seen.
  struct State {
    llvm::SmallVector<Val> tiles;
    RowState rows[2];

    llvm::SmallVector<Val> flat() const;
    static State fromFlat(llvm::ArrayRef<Val> all);
  };

  Val firstPage(Val chunk) { return chunk * kChunkPages; }
  /// Pages of a chunk up to the token's position.
  Val pagesOf(Val chunk);
  void startPage(Val chunk, Val index);
  /// Starts the copies of the chunk's first pages.
  void startChunk(Val chunk);
  /// The rest of it.
  void finishChunk(Val chunk, llvm::ArrayRef<Val> queries,
                   const ChunkResults &results);
  State processPage(const PagePlace &page, Val firstPosition,
                    llvm::ArrayRef<Val> queries, State state);
  /// Gives every warp what all of them have, each lane that of the same lane:
  /// 16 bytes through shared memory from `bytes` on.
  llvm::SmallVector<Val> exchange(Val own, int64_t bytes);
  void storeChunk(Val chunk, const State &state, const ChunkResults &results);
  /// The i-th piece of 8 columns that this warp owns; where there are fewer
  /// pieces than that, the last one again.
  Val ownPiece(int64_t i) {
    return k.min(warp * ownPieces + i, k.constant(pages.pieces() - 1));
  }

  KernelBuilder &k;
  ChunkedAttention op;
  int64_t ownPieces, stages;
  /// Shared memory behind the pages: lanes' sums, weights as A fragments, a
  /// warp's maxima of the 16 rows.
  int64_t sumBytes, weightBytes, maximaBytes;
  Val cacheHead;
};

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ATTENTIONCHUNKS_H
