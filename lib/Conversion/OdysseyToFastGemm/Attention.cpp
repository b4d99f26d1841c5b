//===- Attention.cpp - Causal attention over the paged KV cache -----------===//
//
// The kernel that walks the whole KV length in one CTA, for prefill and short
// contexts; AttentionSplit.cpp has the one that spreads it over many. A CTA
// owns one KV head and `tile_tokens` tokens; the queries of the heads that
// share the KV head are the rows of its fp16 tensor core tiles, 16 rows a warp:
// row r is token r / G of the tile, head r mod G of the group. Keys and values
// of a page (64 tokens) come into shared memory through cp.async, the next
// page's while this one is used.
//
// FlashAttention-2 in registers: S = Q K^T is the accumulator of m16n8k16,
// whose layout is that of an A fragment, so the softmax's numerators go
// straight into P V. Keys are read by ldmatrix as they lie, values by
// ldmatrix.trans.
//
// What a row computes depends on its position alone: chunks of 256 positions
// are computed for themselves and merged in ascending order, and a page behind
// the row's position is fully masked, which changes neither the running
// maximum, nor the sum, nor the output (their factor is exp(0) = 1 and every
// numerator 0). So rows of several positions share a tile, and tokens of
// several sequences: the CTA walks the runs of equal sequence in its tile one
// after the other, with all other rows masked. Pages behind the tile's greatest
// position are not read at all.
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
/// Slots for pages: the one in use, and the next.
constexpr int64_t kSlots = 2;

class AttentionEmitter {
public:
  AttentionEmitter(KernelBuilder &k, graph::AttentionOp op);
  LogicalResult emit();

private:
  /// What a warp's 16 rows (two a lane, g and g + 8) have seen of a chunk, or
  /// of all chunks so far.
  struct State {
    /// headDim / 8 accumulators of the output and one of the sum, whose columns
    /// are all equal.
    SmallVector<Val> tiles;
    Val maximum[2];

    SmallVector<Val> flat() const;
    static State fromFlat(ArrayRef<Val> all);
  };

  State emptyState();
  void locateRows();
  void loadQueries();
  Val queryAddress(int64_t step);
  Val slot(Val index) { return index * pages.slotBytes(); }
  State walkChunks(Val sequence, Val pageCount, State total);
  Val lastVisible(int row, Val sequence);
  State processPage(Val page, Val firstPosition, ArrayRef<Val> last,
                    State state);
  SmallVector<Val> scores(Val keys);
  void addValues(State &state, Val page, ArrayRef<Val> numerators);
  State merge(const State &total, const State &chunk);
  void storeRows(const State &state);
  Val perToken(unsigned operand, Val token) {
    return k.load(k.i32(), k.offset(k.operand(operand), token << 2));
  }

  KernelBuilder &k;
  graph::AttentionOp op;
  int64_t tileTokens, heads, group, d, threads;
  int64_t pagesPerSequence;
  AttentionPages pages;

  Val lane, warp, token0, tokenEnd, kvHead, cacheHead;
  /// Of this lane's two rows: whether the row exists, its token (the tile's
  /// first where not) and head.
  Val rowExists[2], rowToken[2], rowHead[2];
};

/// Warps of 16 rows for a tile.
int64_t tileThreads(graph::AttentionOp op, int64_t group) {
  return (op.getTileTokens().value_or(1) * group + 15) / 16 * 32;
}

int64_t groupOf(graph::AttentionOp op) {
  return op.getHeads() /
         cast<MemRefType>(op.getCache().getType()).getDimSize(3);
}

AttentionEmitter::AttentionEmitter(KernelBuilder &k, graph::AttentionOp op)
    : k(k), op(op), tileTokens(op.getTileTokens().value_or(1)),
      heads(op.getHeads()), group(groupOf(op)), threads(tileThreads(op, group)),
      pagesPerSequence(
          cast<ShapedType>(op.getPageTable().getType()).getDimSize(1)),
      pages(k, cast<MemRefType>(op.getCache().getType()), threads) {
  d = pages.cache.headDim;
}

SmallVector<Val> AttentionEmitter::State::flat() const {
  SmallVector<Val> all(tiles);
  all.append({maximum[0], maximum[1]});
  return all;
}
AttentionEmitter::State AttentionEmitter::State::fromFlat(ArrayRef<Val> all) {
  State state;
  state.tiles.assign(all.begin(), all.end() - 2);
  state.maximum[0] = all[all.size() - 2];
  state.maximum[1] = all[all.size() - 1];
  return state;
}
AttentionEmitter::State AttentionEmitter::emptyState() {
  State state;
  state.tiles.assign(pages.pieces() + 1, k.zeros(k.vec(4, k.f32())));
  state.maximum[0] = state.maximum[1] = k.constantF32(kMinusInfinity);
  return state;
}

void AttentionEmitter::locateRows() {
  Val thread = k.threadIndex();
  lane = thread & 31;
  warp = thread >> 5;
  kvHead = k.blockIndex(0);
  token0 = k.blockIndex(1) * tileTokens;
  tokenEnd = k.min(token0 + tileTokens, k.tokens());
  cacheHead = pages.headBase(k.operand(4), k.operand(5), kvHead);
  for (int i = 0; i < 2; ++i) {
    Val row = warp * 16 + (lane >> 2) + i * 8;
    Val token = token0 + row / group;
    rowExists[i] = (token < tokenEnd) & (row < tileTokens * group);
    rowToken[i] = k.select(rowExists[i], token, token0);
    rowHead[i] = kvHead * group + row % group;
  }
}

/// A fragments of the rows' queries: a0 = (row g, 2t), a1 = (row g + 8, 2t),
/// a2, a3 = 8 columns further. Rows that do not exist are zeros.
void AttentionEmitter::loadQueries() {
  Val column = (lane & 3) << 2; // bytes: 2t halves
  Val zero = k.constant(0);
  for (int64_t step = 0; step < pages.steps(); ++step) {
    SmallVector<Val> registers(4, zero);
    for (int i = 0; i < 2; ++i)
      for (int64_t part = 0; part < 2; ++part) {
        if (2 * step + part >= pages.pieces())
          continue;
        Val address =
            k.offset(k.row(k.operand(0), rowToken[i], heads * d * 2),
                     rowHead[i] * (d * 2) + column + (2 * step + part) * 16);
        registers[2 * part + i] = k.ifElse(
            rowExists[i], [&] { return k.load(k.i32(), address); },
            [&] { return zero; });
      }
    k.store(k.vectorOf(registers), queryAddress(step));
  }
}

/// Where this thread keeps its queries' fragment of a k16 step: in shared
/// memory, since registers are what long heads run out of. Nobody else reads
/// it.
Val AttentionEmitter::queryAddress(int64_t step) {
  return k.offset(k.shared(pages.sharedBytes(kSlots) + step * threads * 16),
                  k.threadIndex() << 4);
}

/// S = Q K^T: per 8 positions one accumulator.
SmallVector<Val> AttentionEmitter::scores(Val keys) {
  SmallVector<Val> sums(kPage / 8, k.zeros(k.vec(4, k.f32())));
  for (int64_t step = 0; step < pages.steps(); ++step) {
    Val a = k.load(k.vec(4, k.i32()), queryAddress(step));
    for (int64_t j = 0; j < kPage / 8; ++j) {
      Val b = pages.keyFragment(keys, k.constant(0), j * 8, step);
      sums[j] = k.mmaF16(a, b, sums[j]);
    }
  }
  return sums;
}

/// output += P V and sum += P 1, P as A fragments of 16 positions.
void AttentionEmitter::addValues(State &state, Val page,
                                 ArrayRef<Val> numerators) {
  Val ones = pages.ones();
  for (int64_t step = 0; step < kPage / 16; ++step) {
    for (int64_t n = 0; n < pages.pieces(); ++n) {
      Val b = pages.valueFragment(page, step * 16, k.constant(0), n);
      state.tiles[n] = k.mmaF16(numerators[step], b, state.tiles[n]);
    }
    state.tiles.back() = k.mmaF16(numerators[step], ones, state.tiles.back());
  }
}

/// The last position of `sequence` that a row sees; -1 where it sees none.
Val AttentionEmitter::lastVisible(int row, Val sequence) {
  Val mine = rowExists[row] & (perToken(2, rowToken[row]) == sequence);
  return k.select(mine, perToken(1, rowToken[row]), k.constant(-1));
}

AttentionEmitter::State AttentionEmitter::processPage(Val page,
                                                      Val firstPosition,
                                                      ArrayRef<Val> last,
                                                      State state) {
  SmallVector<Val> s = scores(page);
  Val scale = k.constantF32(op.getScale().convertToFloat());
  Val minusInfinity = k.constantF32(kMinusInfinity);
  Val column = firstPosition + ((lane & 3) << 1);

  PageSoftmax rows[2];
  for (int i = 0; i < 2; ++i) {
    // Element e of an accumulator: row e / 2, column e mod 2.
    SmallVector<Val> scaled;
    Val maximum = state.maximum[i];
    for (int64_t j = 0; j < kPage / 8; ++j)
      for (int64_t c = 0; c < 2; ++c) {
        Val isHidden = k.signedLess(last[i], column + (j * 8 + c));
        scaled.push_back(k.select(isHidden, minusInfinity,
                                  k.extract(s[j], 2 * i + c) * scale));
        maximum = k.maxF(maximum, scaled.back());
      }
    maximum = k.warpReduce(maximum, Reduction::Max, 4);
    rows[i] = pageSoftmax(k, scaled, state.maximum[i], maximum);
    state.maximum[i] = maximum;
  }
  for (Val &tile : state.tiles)
    tile = scaleRows(k, tile, rows[0].factor, rows[1].factor);

  // Two accumulators of 8 positions are the A fragment of 16.
  SmallVector<Val> fragments;
  for (int64_t j = 0; j < kPage / 8; j += 2) {
    SmallVector<Val> registers;
    for (int64_t part = 0; part < 2; ++part)
      for (PageSoftmax &row : rows)
        registers.push_back(k.packHalves(row.numerators[2 * (j + part)],
                                         row.numerators[2 * (j + part) + 1]));
    fragments.push_back(k.vectorOf(registers));
  }
  addValues(state, page, fragments);
  return state;
}

/// Adds a chunk to those before it; rows that saw nothing of it keep what they
/// have.
AttentionEmitter::State AttentionEmitter::merge(const State &total,
                                                const State &chunk) {
  State result = total;
  Val minusInfinity = k.constantF32(kMinusInfinity);
  for (int i = 0; i < 2; ++i) {
    Val isEmpty = chunk.maximum[i] == minusInfinity;
    ChunkMerge factors = mergeFactors(k, total.maximum[i], chunk.maximum[i]);
    result.maximum[i] = k.select(isEmpty, total.maximum[i], factors.maximum);
    for (auto [merged, part] : llvm::zip_equal(result.tiles, chunk.tiles))
      for (int64_t e : {2 * i, 2 * i + 1}) {
        Val before = k.extract(merged, e);
        Val sum = before * factors.total + k.extract(part, e) * factors.chunk;
        merged = k.insert(k.select(isEmpty, before, sum), merged, e);
      }
  }
  return result;
}

void AttentionEmitter::storeRows(const State &state) {
  for (int i = 0; i < 2; ++i)
    k.ifThen(rowExists[i], [&] {
      Val total = k.extract(state.tiles.back(), 2 * i);
      Val address = k.offset(k.row(k.result(0), rowToken[i], heads * d * 2),
                             rowHead[i] * (d * 2) + ((lane & 3) << 2));
      Val zero = k.constantF32(0.0f), isToken = zero < total;
      for (int64_t n = 0; n < pages.pieces(); ++n) {
        SmallVector<Val> pair;
        // Rows without a token become zeros.
        for (int64_t e : {2 * i, 2 * i + 1})
          pair.push_back(k.toF16(
              k.select(isToken, k.extract(state.tiles[n], e) / total, zero)));
        k.store(k.packHalves(pair[0], pair[1]), k.offset(address, n * 16));
      }
    });
}

/// The `pageCount` first pages of a sequence, chunk by chunk.
AttentionEmitter::State
AttentionEmitter::walkChunks(Val sequence, Val pageCount, State total) {
  Val zero = k.constant(0), one = k.constant(1);
  Val last[] = {lastVisible(0, sequence), lastVisible(1, sequence)};
  Val table = k.offset(k.operand(3), sequence * (pagesPerSequence * 4));
  auto startPage = [&](Val index) {
    pages.start(slot(index & 1), cacheHead,
                k.load(k.i32(), k.offset(table, index << 2)));
  };
  k.ifThen(zero < pageCount, [&] {
    k.barrier(); // The last run's pages are no longer read.
    startPage(zero);
  });
  k.create<fastgemm::AsyncCommitOp>();
  SmallVector<Val> result = k.loop(
      zero, pageCount, k.constant(kChunkPages), total.flat(),
      [&](Val first, ArrayRef<Val> merged) {
        Val end = k.min(first + kChunkPages, pageCount);
        SmallVector<Val> chunk =
            k.loop(first, end, one, emptyState().flat(),
                   [&](Val i, ArrayRef<Val> carried) {
                     k.create<fastgemm::AsyncWaitOp>(k.getI32IntegerAttr(0));
                     // This page is there, and nobody reads the other slot any
                     // more.
                     k.barrier();
                     Val next = i + 1;
                     k.ifThen(next < pageCount, [&] { startPage(next); });
                     k.create<fastgemm::AsyncCommitOp>();
                     Val page = pages.finish(slot(i & 1), kSlots);
                     return processPage(page, i * kPage, last,
                                        State::fromFlat(carried))
                         .flat();
                   });
        return merge(State::fromFlat(merged), State::fromFlat(chunk)).flat();
      });
  return State::fromFlat(result);
}

LogicalResult AttentionEmitter::emit() {
  locateRows();
  loadQueries();
  Val zero = k.constant(0), one = k.constant(1);

  // Every token that begins a run of one sequence starts a walk over its pages.
  SmallVector<Val> result = k.loop(
      token0, tokenEnd, one, emptyState().flat(),
      [&](Val first, ArrayRef<Val> outer) {
        Val sequence = perToken(2, first);
        Val isFirst = first == token0;
        Val before = k.select(isFirst, first, first - 1);
        Val starts = isFirst | (k.val(k.create<arith::CmpIOp>(
                                   arith::CmpIPredicate::ne,
                                   perToken(2, before).value, sequence.value)));
        // Pages up to the greatest position of the run; none for position -1.
        SmallVector<Val> most = k.loop(
            first, tokenEnd, one, {zero}, [&](Val token, ArrayRef<Val> best) {
              Val same = perToken(2, token) == sequence;
              Val length = perToken(1, token) + 1;
              Val greater = k.select(best[0] < length, length, best[0]);
              return SmallVector<Val>{k.select(same, greater, best[0])};
            });
        Val pageCount = k.select(starts, (most[0] + (kPage - 1)) / kPage, zero);
        return walkChunks(sequence, pageCount, State::fromFlat(outer)).flat();
      });
  storeRows(State::fromFlat(result));
  k.finish({pages.cache.kvHeads, 1, 1}, {0, tileTokens, 0}, threads,
           pages.sharedBytes(kSlots) + pages.steps() * threads * 16);
  return success();
}

} // namespace

LogicalResult conversion::emitAttention(KernelBuilder &k,
                                        graph::AttentionOp op) {
  return AttentionEmitter(k, op).emit();
}
