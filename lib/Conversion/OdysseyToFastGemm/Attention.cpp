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
// whose layout is that of an A fragment, so the weights that a row makes of its
// scores go straight into P V. Keys are read by ldmatrix as they lie, values by
// ldmatrix.trans. A page's weights are integers of its own, so that its P V is
// exact before it is added to that of the pages before.
//
// What a row computes depends on its position alone: chunks of 256 positions
// are computed for themselves and merged in ascending order, and a page behind
// the row's position is fully masked, which changes neither the running
// maximum, nor the sum, nor the output (their factor is 2^0 = 1 and every
// weight 0). So rows of several positions share a tile, and tokens of
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
    /// headDim / 8 accumulators of the output.
    SmallVector<Val> tiles;
    RowState rows[2];

    SmallVector<Val> flat() const;
    static State fromFlat(ArrayRef<Val> all);
  };

  State emptyState();
  void locateRows(Val thread);
  void loadQueries();
  Val queryAddress(int64_t step);
  State walkChunks(Val sequence, Val pageCount, State total);
  Val lastVisible(int row, Val sequence);
  State processPage(const PagePlace &page, Val firstPosition,
                    ArrayRef<Val> last, State state);
  SmallVector<Val> scores(const PagePlace &page);
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
  pages.slots = kSlots;
}

SmallVector<Val> AttentionEmitter::State::flat() const {
  SmallVector<Val> all(tiles);
  for (const RowState &row : rows)
    all.append({row.maximum, row.sum});
  return all;
}
AttentionEmitter::State AttentionEmitter::State::fromFlat(ArrayRef<Val> all) {
  State state;
  state.tiles.assign(all.begin(), all.end() - 4);
  for (auto [i, row] : llvm::enumerate(state.rows))
    row = {all[all.size() - 4 + 2 * i], all[all.size() - 3 + 2 * i]};
  return state;
}
AttentionEmitter::State AttentionEmitter::emptyState() {
  State state;
  state.tiles.assign(pages.pieces(), k.zeros(k.vec(4, k.f32())));
  for (RowState &row : state.rows)
    row = {k.constantF32(kMinusInfinity), k.constantF32(0.0f)};
  return state;
}

void AttentionEmitter::locateRows(Val thread) {
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
  return k.offset(k.shared(pages.sharedBytes() + step * threads * 16),
                  k.threadIndex() << 4);
}

/// S = Q K^T: per 8 positions one accumulator.
SmallVector<Val> AttentionEmitter::scores(const PagePlace &page) {
  SmallVector<Val> sums(kPage / 8, k.zeros(k.vec(4, k.f32())));
  for (int64_t step = 0; step < pages.steps(); ++step) {
    Val a = k.load(k.vec(4, k.i32()), queryAddress(step));
    for (int64_t j = 0; j < kPage / 8; ++j) {
      Val b = pages.keyFragment(page, k.constant(0), j * 8, step);
      sums[j] = k.mmaF16(a, b, sums[j]);
    }
  }
  return sums;
}

/// The last position of `sequence` that a row sees; -1 where it sees none.
Val AttentionEmitter::lastVisible(int row, Val sequence) {
  Val mine = rowExists[row] & (perToken(2, rowToken[row]) == sequence);
  return k.select(mine, perToken(1, rowToken[row]), k.constant(-1));
}

AttentionEmitter::State AttentionEmitter::processPage(const PagePlace &page,
                                                      Val firstPosition,
                                                      ArrayRef<Val> last,
                                                      State state) {
  SmallVector<Val> s = scores(page);
  Val factor = scoreFactor(k, op.getScale().convertToFloat());
  Val minusInfinity = k.constantF32(kMinusInfinity);
  Val column = firstPosition + ((lane & 3) << 1);
  // Element e of an accumulator: row e / 2, column e mod 2. A row's state is
  // small only when its weights are packed, so one goes after the other.
  SmallVector<Val> scaled[2];
  Val maximum[2] = {minusInfinity, minusInfinity};
  for (int64_t j = 0; j < kPage / 8; ++j) {
    Val scales = pages.columnScales(page.keyScales, k.constant(j * 8));
    for (int64_t c = 0; c < 2; ++c) {
      Val ofColumn = k.extract(scales, c) * factor;
      for (int i = 0; i < 2; ++i) {
        Val isHidden = k.signedLess(last[i], column + (j * 8 + c));
        scaled[i].push_back(k.select(isHidden, minusInfinity,
                                     k.extract(s[j], 2 * i + c) * ofColumn));
        maximum[i] = k.maxF(maximum[i], scaled[i].back());
      }
    }
  }

  constexpr int64_t columns = kPage / 4, blockColumns = 4;
  SmallVector<Val> pairs[2];
  PageFactors factors[2];
  for (int i = 0; i < 2; ++i) {
    maximum[i] = k.warpReduce(maximum[i], Reduction::Max, 4);
    SmallVector<Val> products;
    Val exponentials, sum;
    for (int64_t at = 0; at < columns; at += blockColumns) {
      SmallVector<Val> valueScales;
      for (int64_t j = at / 2; j < (at + blockColumns) / 2; ++j) {
        Val scales = pages.columnScales(page.valueScales, k.constant(j * 8));
        for (int64_t c = 0; c < 2; ++c)
          valueScales.push_back(k.extract(scales, c));
      }
      BlockWeights block =
          blockWeights(k, ArrayRef(scaled[i]).slice(at, blockColumns),
                       valueScales, maximum[i]);
      products.append(block.products);
      exponentials =
          at == 0 ? block.exponentials : exponentials + block.exponentials;
      sum = at == 0 ? block.sum : sum + block.sum;
    }
    factors[i] = addPage(k, state.rows[i], maximum[i], exponentials, sum);
    SmallVector<Val> weights = roundWeights(k, products, factors[i]);
    for (int64_t at = 0; at < columns; at += 2)
      pairs[i].push_back(k.packHalves(weights[at], weights[at + 1]));
  }

  // Two accumulators of 8 positions are the A fragment of 16.
  SmallVector<Val> fragments;
  for (int64_t j = 0; j < kPage / 8; j += 2)
    fragments.push_back(k.vectorOf(
        {pairs[0][j], pairs[1][j], pairs[0][j + 1], pairs[1][j + 1]}));
  for (int64_t n = 0; n < pages.pieces(); ++n) {
    Val sum = k.zeros(k.vec(4, k.f32()));
    for (int64_t step = 0; step < kPage / 16; ++step)
      sum =
          k.mmaF16(fragments[step],
                   pages.valueFragment(page, step * 16, k.constant(0), n), sum);
    state.tiles[n] = addToRows(k, state.tiles[n], sum, factors);
  }
  return state;
}

/// Adds a chunk to those before it; rows that saw nothing of it keep what they
/// have.
AttentionEmitter::State AttentionEmitter::merge(const State &total,
                                                const State &chunk) {
  State result = total;
  Val minusInfinity = k.constantF32(kMinusInfinity);
  Val isEmpty[2];
  ChunkMerge factors[2];
  auto add = [&](int i, Val merged, Val added) {
    return k.select(isEmpty[i], merged,
                    merged * factors[i].total + added * factors[i].chunk);
  };
  for (int i = 0; i < 2; ++i) {
    const RowState &before = total.rows[i], &part = chunk.rows[i];
    isEmpty[i] = part.maximum == minusInfinity;
    factors[i] = mergeFactors(k, before.maximum, part.maximum);
    result.rows[i] = {k.select(isEmpty[i], before.maximum, factors[i].maximum),
                      add(i, before.sum, part.sum)};
  }
  for (auto [merged, added] : llvm::zip_equal(result.tiles, chunk.tiles)) {
    SmallVector<Val> elements;
    for (int64_t e = 0; e < 4; ++e)
      elements.push_back(add(e / 2, k.extract(merged, e), k.extract(added, e)));
    merged = k.vectorOf(elements);
  }
  return result;
}

void AttentionEmitter::storeRows(const State &state) {
  // ptxas spills what it could compute again.
  locateRows(k.threadIndexHere());
  for (int i = 0; i < 2; ++i)
    k.ifThen(rowExists[i], [&] {
      Val sum = state.rows[i].sum;
      Val address = k.offset(k.row(k.result(0), rowToken[i], heads * d * 2),
                             rowHead[i] * (d * 2) + ((lane & 3) << 2));
      // Rows without a token become zeros.
      Val zero = k.constantF32(0.0f);
      Val inverse = k.select(zero < sum, k.constantF32(1.0f) / sum, zero);
      for (int64_t n = 0; n < pages.pieces(); ++n) {
        SmallVector<Val> pair;
        for (int64_t e : {2 * i, 2 * i + 1})
          pair.push_back(k.toF16(k.extract(state.tiles[n], e) * inverse));
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
    pages.start(index & 1, cacheHead,
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
                     PagePlace page = pages.finish(i & 1);
                     return processPage(page, i * kPage, last,
                                        State::fromFlat(carried))
                         .flat();
                   });
        return merge(State::fromFlat(merged), State::fromFlat(chunk)).flat();
      });
  return State::fromFlat(result);
}

LogicalResult AttentionEmitter::emit() {
  locateRows(k.threadIndex());
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
           pages.sharedBytes() + pages.steps() * threads * 16);
  return success();
}

} // namespace

LogicalResult conversion::emitAttention(KernelBuilder &k,
                                        graph::AttentionOp op) {
  return AttentionEmitter(k, op).emit();
}
