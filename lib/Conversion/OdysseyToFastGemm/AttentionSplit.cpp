//===- AttentionSplit.cpp - Attention spread over the KV length -----------===//
//
// For decode (flash-decoding): a CTA computes chunks of 256 positions of one
// token and one KV head, so that even one sequence keeps many SMs busy. What
// the chunks give is merged in ascending order by the kernel of
// attention_merge, with the same bits as the kernel of Attention.cpp, which
// walks all chunks itself.
//
// The rows of the tensor core tiles are the heads that share the KV head, up to
// 16. All four warps work on the same rows and the same page: warp w scores
// positions 16w to 16w + 15, the warps exchange maxima and numerators through
// shared memory, and each multiplies all numerators with its quarter of the
// values' columns. Every number is still made by the same operations in the
// same order as where one warp does it all.
//
//===----------------------------------------------------------------------===//

#include "AttentionPages.h"
#include "Kernels.h"

#include <limits>

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
/// Warps of a CTA: each scores 16 positions of a page.
constexpr int64_t kWarps = kPage / 16;
constexpr int64_t kThreads = kWarps * 32;
/// Heads that one CTA takes, the rows of a tile.
constexpr int64_t kRows = 16;
/// Slots for pages in shared memory, as many as fit these bytes: copies in
/// flight are what hides the memory's latency.
constexpr int64_t kStageBytes = 96 * 1024;
constexpr int64_t kMinStages = 2;

class ChunkEmitter {
public:
  ChunkEmitter(KernelBuilder &k, graph::AttentionChunksOp op);
  LogicalResult emit();

private:
  /// A warp's quarter of the output's columns, and the sum.
  struct State {
    SmallVector<Val> tiles;
    Val maximum[2];

    SmallVector<Val> flat() const;
    static State fromFlat(ArrayRef<Val> all);
  };

  void locate();
  SmallVector<Val> loadQueries();
  void emitChunk(Val chunk, ArrayRef<Val> queries);
  State processPage(Val slot, Val firstPosition, ArrayRef<Val> queries,
                    State state);
  SmallVector<Val> exchangeNumerators(Val packed);
  void storeChunk(Val chunk, const State &state);
  /// The i-th piece of 8 columns that this warp owns; where there are fewer
  /// pieces than that, the last one again.
  Val ownPiece(int64_t i) {
    return k.min(warp * ownPieces + i, k.constant(pages.pieces() - 1));
  }
  Val slot(Val index) { return index % stages * pages.slotBytes(); }

  KernelBuilder &k;
  graph::AttentionChunksOp op;
  AttentionPages pages;
  int64_t heads, group, d, rowBlocks, chunkCount, ownPieces, stages;
  /// Shared memory behind the pages: numerators as A fragments, a warp's maxima
  /// of the 16 rows.
  int64_t numeratorBytes, maximaBytes;

  Val lane, warp, token, position, kvHead, cacheHead, table;
  /// Of this lane's rows g and g + 8: the head, and whether it exists.
  Val rowHead[2], rowValid[2];
};

ChunkEmitter::ChunkEmitter(KernelBuilder &k, graph::AttentionChunksOp op)
    : k(k), op(op),
      pages(k, cast<MemRefType>(op.getCache().getType()), kThreads),
      heads(op.getHeads()), group(heads / pages.cache.kvHeads),
      d(pages.cache.headDim), rowBlocks((group + kRows - 1) / kRows),
      chunkCount(cast<ShapedType>(op.getChunkValues().getType()).getDimSize(2)),
      ownPieces((pages.pieces() + kWarps - 1) / kWarps),
      stages(
          std::clamp((kStageBytes - pages.sharedBytes(0)) / pages.slotBytes(),
                     kMinStages, kChunkPages)),
      numeratorBytes(pages.sharedBytes(stages)),
      maximaBytes(numeratorBytes + kWarps * 32 * 16) {}

SmallVector<Val> ChunkEmitter::State::flat() const {
  SmallVector<Val> all(tiles);
  all.append({maximum[0], maximum[1]});
  return all;
}
ChunkEmitter::State ChunkEmitter::State::fromFlat(ArrayRef<Val> all) {
  State state;
  state.tiles.assign(all.begin(), all.end() - 2);
  state.maximum[0] = all[all.size() - 2];
  state.maximum[1] = all[all.size() - 1];
  return state;
}

void ChunkEmitter::locate() {
  Val thread = k.threadIndex();
  lane = thread & 31;
  warp = thread >> 5;
  Val block = k.blockIndex(0);
  kvHead = block / rowBlocks;
  token = k.blockIndex(1);
  position = k.load(k.i32(), k.offset(k.operand(1), token << 2));
  Val sequence = k.load(k.i32(), k.offset(k.operand(2), token << 2));
  int64_t pagesPerSequence =
      cast<ShapedType>(op.getPageTable().getType()).getDimSize(1);
  table = k.offset(k.operand(3), sequence * (pagesPerSequence * 4));
  cacheHead = pages.headBase(k.operand(4), k.operand(5), kvHead);
  for (int i = 0; i < 2; ++i) {
    Val row = block % rowBlocks * kRows + (lane >> 2) + i * 8;
    rowValid[i] = row < group;
    rowHead[i] = kvHead * group + row;
  }
}

/// A fragments of the queries, one per 16 elements, as in Attention.cpp.
SmallVector<Val> ChunkEmitter::loadQueries() {
  Val zero = k.constant(0);
  Val row = k.row(k.operand(0), token, heads * d * 2);
  SmallVector<Val> fragments;
  for (int64_t step = 0; step < pages.steps(); ++step) {
    SmallVector<Val> registers(4, zero);
    for (int i = 0; i < 2; ++i)
      for (int64_t part = 0; part < 2; ++part) {
        int64_t piece = 2 * step + part;
        if (piece >= pages.pieces())
          continue;
        Val address = k.offset(row, rowHead[i] * (d * 2) + ((lane & 3) << 2) +
                                        piece * 16);
        registers[2 * part + i] = k.ifElse(
            rowValid[i], [&] { return k.load(k.i32(), address); },
            [&] { return zero; });
      }
    fragments.push_back(k.vectorOf(registers));
  }
  return fragments;
}

/// Gives every warp the numerators of all of them: A fragments of 16 positions
/// each, in the warps' order.
SmallVector<Val> ChunkEmitter::exchangeNumerators(Val packed) {
  auto address = [&](Val ofWarp) {
    return k.offset(k.shared(numeratorBytes), (ofWarp << 9) + (lane << 4));
  };
  k.store(packed, address(warp));
  k.barrier();
  SmallVector<Val> all;
  for (int64_t w = 0; w < kWarps; ++w)
    all.push_back(k.load(k.vec(4, k.i32()), address(k.constant(w))));
  return all;
}

ChunkEmitter::State ChunkEmitter::processPage(Val page, Val firstPosition,
                                              ArrayRef<Val> queries,
                                              State state) {
  // Scores of this warp's 16 positions: two accumulators.
  Val first = warp << 4;
  SmallVector<Val> sums(2, k.zeros(k.vec(4, k.f32())));
  for (int64_t step = 0; step < pages.steps(); ++step)
    for (int64_t j = 0; j < 2; ++j)
      sums[j] = k.mmaF16(queries[step],
                         pages.keyFragment(page, first, j * 8, step), sums[j]);

  Val scale = k.constantF32(op.getScale().convertToFloat());
  Val minusInfinity = k.constantF32(kMinusInfinity);
  Val column = firstPosition + first + ((lane & 3) << 1);
  SmallVector<Val> scaled[2];
  auto maxima = [&](Val ofWarp, int i) {
    return k.offset(k.shared(maximaBytes),
                    (ofWarp << 6) + (((lane >> 2) + i * 8) << 2));
  };
  for (int i = 0; i < 2; ++i) {
    Val maximum = minusInfinity;
    for (int64_t j = 0; j < 2; ++j)
      for (int64_t c = 0; c < 2; ++c) {
        Val visible = column + (j * 8 + c) <= position;
        scaled[i].push_back(k.select(
            visible, k.extract(sums[j], 2 * i + c) * scale, minusInfinity));
        maximum = k.maxF(maximum, scaled[i].back());
      }
    maximum = k.warpReduce(maximum, Reduction::Max, 4);
    k.ifThen((lane & 3) == 0, [&] { k.store(maximum, maxima(warp, i)); });
  }
  k.barrier();
  PageSoftmax rows[2];
  for (int i = 0; i < 2; ++i) {
    Val maximum = state.maximum[i];
    for (int64_t w = 0; w < kWarps; ++w)
      maximum = k.maxF(maximum, k.load(k.f32(), maxima(k.constant(w), i)));
    rows[i] = pageSoftmax(k, scaled[i], state.maximum[i], maximum);
    state.maximum[i] = maximum;
  }
  SmallVector<Val> registers;
  for (int64_t j = 0; j < 2; ++j)
    for (PageSoftmax &row : rows)
      registers.push_back(
          k.packHalves(row.numerators[2 * j], row.numerators[2 * j + 1]));
  SmallVector<Val> numerators = exchangeNumerators(k.vectorOf(registers));

  for (Val &tile : state.tiles)
    tile = scaleRows(k, tile, rows[0].factor, rows[1].factor);
  Val ones = pages.ones();
  for (int64_t step = 0; step < kWarps; ++step) {
    for (int64_t i = 0; i < ownPieces; ++i)
      state.tiles[i] = k.mmaF16(
          numerators[step],
          pages.valueFragment(page, step * 16, ownPiece(i), 0), state.tiles[i]);
    state.tiles.back() = k.mmaF16(numerators[step], ones, state.tiles.back());
  }
  return state;
}

/// Output, maximum and sum of a chunk, all fp32.
void ChunkEmitter::storeChunk(Val chunk, const State &state) {
  for (int i = 0; i < 2; ++i) {
    Val index = (token * heads + rowHead[i]) * chunkCount + chunk;
    Val values = k.row(k.result(0), index, d * 4);
    for (int64_t piece = 0; piece < ownPieces; ++piece) {
      Val own = warp * ownPieces + piece;
      Val exists = rowValid[i] & (own < pages.pieces());
      k.ifThen(exists, [&] {
        Val pair = k.vectorOf({k.extract(state.tiles[piece], 2 * i),
                               k.extract(state.tiles[piece], 2 * i + 1)});
        k.store(pair, k.offset(values, own * 32 + ((lane & 3) << 3)));
      });
    }
    Val writes = rowValid[i] & (warp == 0) & ((lane & 3) == 0);
    k.ifThen(writes, [&] {
      k.store(
          k.vectorOf({state.maximum[i], k.extract(state.tiles.back(), 2 * i)}),
          k.row(k.result(1), index, 8));
    });
  }
}

void ChunkEmitter::emitChunk(Val chunk, ArrayRef<Val> queries) {
  Val zero = k.constant(0), one = k.constant(1);
  Val firstPage = chunk * kChunkPages;
  Val count = k.min(position / kPage + 1 - firstPage, k.constant(kChunkPages));
  auto startPage = [&](Val index) {
    k.ifThen(index < count, [&] {
      Val page = k.load(k.i32(), k.offset(table, (firstPage + index) << 2));
      pages.start(slot(index), cacheHead, page);
    });
    k.create<fastgemm::AsyncCommitOp>();
  };
  k.barrier(); // The pages of the chunk before are no longer read.
  for (int64_t stage = 0; stage + 1 < stages; ++stage)
    startPage(k.constant(stage));

  State state;
  state.tiles.assign(ownPieces + 1, k.zeros(k.vec(4, k.f32())));
  state.maximum[0] = state.maximum[1] = k.constantF32(kMinusInfinity);
  SmallVector<Val> result =
      k.loop(zero, count, one, state.flat(), [&](Val i, ArrayRef<Val> carried) {
        k.create<fastgemm::AsyncWaitOp>(k.getI32IntegerAttr(stages - 2));
        // This page is there, and nobody reads the slot of the one before, the
        // maxima or the numerators any more.
        k.barrier();
        startPage(i + (stages - 1));
        Val page = pages.finish(slot(i), stages);
        return processPage(page, (firstPage + i) * kPage, queries,
                           State::fromFlat(carried))
            .flat();
      });
  storeChunk(chunk, State::fromFlat(result));
}

LogicalResult ChunkEmitter::emit() {
  locate();
  int64_t splits = op.getSplits();
  // Position -1 is a row without a token: it has no chunks.
  Val chunks = (position + graph::kAttentionChunk) / graph::kAttentionChunk;
  Val split = k.blockIndex(2);
  k.ifThen(split < chunks, [&] {
    SmallVector<Val> queries = loadQueries();
    k.loop(split, chunks, k.constant(splits), {},
           [&](Val chunk, ArrayRef<Val>) {
             emitChunk(chunk, queries);
             return SmallVector<Val>();
           });
  });
  k.finish({pages.cache.kvHeads * rowBlocks, 1, splits}, {0, 1, 0}, kThreads,
           maximaBytes + kWarps * kRows * 4);
  return success();
}

} // namespace

LogicalResult conversion::emitAttentionChunks(KernelBuilder &k,
                                              graph::AttentionChunksOp op) {
  return ChunkEmitter(k, op).emit();
}
