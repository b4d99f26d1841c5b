//===- Attention.cpp - Causal attention over the paged KV cache -----------===//
//
// One kernel for prefill and decode. A CTA owns one KV head and `tile_tokens`
// tokens; the queries of the heads that share the KV head are the rows of its
// fp16 tensor core tiles, 16 rows a warp: row r is token r / G of the tile,
// head r mod G of the group. Keys and values of a page (64 tokens) come into
// shared memory through cp.async, the next page's while this one is used.
//
// FlashAttention-2 in registers: S = Q K^T is the accumulator of m16n8k16,
// whose layout is that of an A fragment, so the softmax's numerators go
// straight into P V. Keys are read by ldmatrix as they lie, values by
// ldmatrix.trans.
//
// What a row computes depends on its position alone: pages are walked from 0,
// and a page behind the row's position is fully masked, which changes neither
// the running maximum, nor the sum, nor the output by a bit (their factor is
// exp(0) = 1 and every numerator 0). So rows of several positions share a tile,
// and tokens of several sequences: the CTA walks the runs of equal sequence in
// its tile one after the other, with all other rows masked.
//
//===----------------------------------------------------------------------===//

#include "CachePages.h"
#include "Kernels.h"

#include <limits>

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
/// A page's tokens: the columns of one S tile.
constexpr int64_t kPage = 64;

class AttentionEmitter {
public:
  AttentionEmitter(KernelBuilder &k, graph::AttentionOp op);
  LogicalResult emit();

private:
  /// The running state of a warp's 16 rows: two rows a lane (g and g + 8).
  struct State {
    SmallVector<Val> output; // headDim / 8 accumulators
    Val maximum[2], sum[2];

    SmallVector<Val> flat() const;
    static State fromFlat(ArrayRef<Val> all, int64_t count);
  };

  void locateRows();
  void loadQueries();
  Val queryAddress(int64_t step);
  void startPage(Val slot, Val page);
  State processPage(Val slot, Val firstPosition, Val sequence, State state);
  SmallVector<Val> scores(Val keys);
  void addValues(State &state, Val values, ArrayRef<Val> numerators);
  void storeRows(const State &state);
  /// Address of 16-byte chunk `chunk` of row `row` in a page of shared memory.
  Val chunkAddress(Val base, Val row, Val chunk);
  Val perToken(unsigned operand, Val token) {
    return k.load(k.i32(), k.offset(k.operand(operand), token << 2));
  }

  KernelBuilder &k;
  graph::AttentionOp op;
  CachePages cache;
  int64_t heads, group, d, chunks;
  int64_t tileTokens, warps, threads;
  int64_t pagesPerSequence;
  /// Shared memory of a page's keys (or values), and of both.
  int64_t halfBytes, slotBytes;

  Val lane, warp, token0, tokenEnd, kvHead, cacheHead;
  /// Of this lane's two rows: token, whether there is one, its position and
  /// sequence (undefined where there is none).
  Val rowToken[2], rowValid[2], rowPosition[2], rowSequence[2], rowHead[2];
};

AttentionEmitter::AttentionEmitter(KernelBuilder &k, graph::AttentionOp op)
    : k(k), op(op), cache(cast<MemRefType>(op.getCache().getType())),
      heads(op.getHeads()), group(heads / cache.kvHeads), d(cache.headDim),
      chunks(d / 8) {
  tileTokens = op.getTileTokens().value_or(1);
  warps = (tileTokens * group + 15) / 16;
  threads = warps * 32;
  pagesPerSequence =
      cast<ShapedType>(op.getPageTable().getType()).getDimSize(1);
  halfBytes = kPage * cache.rowBytes();
  slotBytes = 2 * halfBytes;
}

SmallVector<Val> AttentionEmitter::State::flat() const {
  SmallVector<Val> all(output);
  all.append({maximum[0], maximum[1], sum[0], sum[1]});
  return all;
}
AttentionEmitter::State AttentionEmitter::State::fromFlat(ArrayRef<Val> all,
                                                          int64_t count) {
  State state;
  state.output.assign(all.begin(), all.begin() + count);
  for (int i = 0; i < 2; ++i) {
    state.maximum[i] = all[count + i];
    state.sum[i] = all[count + 2 + i];
  }
  return state;
}

Val AttentionEmitter::chunkAddress(Val base, Val row, Val chunk) {
  // 8 rows that ldmatrix reads together fall into different bank groups: rows
  // of 128 bytes and more rotate by row, shorter ones by the 128-byte line.
  int64_t mask = std::min<int64_t>(chunks & -chunks, 8) - 1;
  Val swizzled = chunk;
  if (mask > 0)
    swizzled = chunk ^ ((row / (8 / (mask + 1))) & mask);
  return k.offset(base, row * cache.rowBytes() + (swizzled << 4));
}

void AttentionEmitter::locateRows() {
  Val thread = k.threadIndex();
  lane = thread & 31;
  warp = thread >> 5;
  kvHead = k.blockIndex(0);
  token0 = k.blockIndex(1) * tileTokens;
  tokenEnd = k.min(token0 + tileTokens, k.tokens());
  cacheHead = k.offset(k.row(k.operand(4), k.operand(5), cache.layerBytes()),
                       kvHead * cache.headBytes());
  for (int i = 0; i < 2; ++i) {
    Val row = warp * 16 + (lane >> 2) + i * 8;
    Val token = token0 + row / group;
    rowValid[i] = (token < tokenEnd) & (row < tileTokens * group);
    rowToken[i] = k.select(rowValid[i], token, token0);
    rowHead[i] = kvHead * group + row % group;
    rowPosition[i] = perToken(1, rowToken[i]);
    rowSequence[i] = perToken(2, rowToken[i]);
  }
}

/// A fragments of the rows' queries: a0 = (row g, 2t), a1 = (row g + 8, 2t),
/// a2, a3 = 8 columns further. Rows that do not exist are zeros.
void AttentionEmitter::loadQueries() {
  Val column = (lane & 3) << 2; // bytes: 2t halves
  Val zero = k.constant(0);
  for (int64_t step = 0; step < (chunks + 1) / 2; ++step) {
    SmallVector<Val> registers(4, zero);
    for (int i = 0; i < 2; ++i)
      for (int64_t part = 0; part < 2; ++part) {
        if (2 * step + part >= chunks)
          continue;
        Val address =
            k.offset(k.row(k.operand(0), rowToken[i], heads * d * 2),
                     rowHead[i] * (d * 2) + column + (2 * step + part) * 16);
        registers[2 * part + i] = k.ifElse(
            rowValid[i], [&] { return k.load(k.i32(), address); },
            [&] { return zero; });
      }
    k.store(k.vectorOf(registers), queryAddress(step));
  }
}

/// Where this thread keeps its queries' fragment of a k16 step: in shared
/// memory, since registers are what long heads run out of. Nobody else reads
/// it.
Val AttentionEmitter::queryAddress(int64_t step) {
  return k.offset(k.shared(2 * slotBytes + step * threads * 16), k.threadIndex()
                                                                     << 4);
}

/// Copies keys and values of page number `page` of the cache.
void AttentionEmitter::startPage(Val slot, Val page) {
  Val source = k.row(cacheHead, page, cache.pageBytes());
  Val destination = k.offset(k.shared(), slot * slotBytes);
  int64_t pieces = kPage * chunks;
  for (int64_t first = 0; first < pieces; first += threads) {
    Val piece = k.threadIndex() + first;
    auto copy = [&] {
      Val row = piece / chunks, chunk = piece % chunks;
      for (int part = 0; part < 2; ++part) {
        Val from = k.offset(source, piece * 16 + part * cache.valueOffset());
        Val to =
            chunkAddress(k.offset(destination, part * halfBytes), row, chunk);
        k.create<fastgemm::AsyncCopyOp>(to.value, from.value,
                                        k.getI32IntegerAttr(16), Value());
      }
    };
    if (first + threads > pieces)
      k.ifThen(piece < pieces, copy);
    else
      copy();
  }
}

/// S = Q K^T: per 8 positions one accumulator.
SmallVector<Val> AttentionEmitter::scores(Val keys) {
  SmallVector<Val> sums(kPage / 8, k.zeros(k.vec(4, k.f32())));
  Val row = lane & 7, matrix = lane >> 3;
  for (int64_t step = 0; step < (chunks + 1) / 2; ++step) {
    Val a = k.load(k.vec(4, k.i32()), queryAddress(step));
    // B fragment: b0 = 8 positions x k 0-7, b1 = x k 8-15. With an odd number
    // of chunks the last k 8-15 does not exist: zero, as in the queries.
    bool odd = 2 * step + 1 >= chunks;
    Val chunk = odd ? k.constant(2 * step) : (matrix & 1) + 2 * step;
    VectorType loaded = k.vec(odd ? 1 : 2, k.i32());
    for (int64_t j = 0; j < kPage / 8; ++j) {
      Val address = chunkAddress(keys, row + j * 8, chunk);
      Val b = k.val(
          k.create<fastgemm::LoadMatrixOp>(loaded, address.value, UnitAttr()));
      if (odd)
        b = k.vectorOf({k.extract(b, 0), k.constant(0)});
      sums[j] = k.val(k.create<fastgemm::MmaF16Op>(sums[j].type(), a.value,
                                                   b.value, sums[j].value));
    }
  }
  return sums;
}

/// output += P V, P as A fragments of 16 positions.
void AttentionEmitter::addValues(State &state, Val values,
                                 ArrayRef<Val> numerators) {
  Val row = lane & 7, matrix = lane >> 3;
  for (int64_t step = 0; step < kPage / 16; ++step)
    for (int64_t n = 0; n < chunks; ++n) {
      // B fragment: k is the position: transposed 8x8 blocks, positions 0-7 and
      // 8-15 of the step.
      Val position = row + ((matrix & 1) << 3) + step * 16;
      Val address = chunkAddress(values, position, k.constant(n));
      Val b = k.val(k.create<fastgemm::LoadMatrixOp>(
          k.vec(2, k.i32()), address.value, k.getUnitAttr()));
      state.output[n] = k.val(k.create<fastgemm::MmaF16Op>(
          state.output[n].type(), numerators[step].value, b.value,
          state.output[n].value));
    }
}

AttentionEmitter::State AttentionEmitter::processPage(Val slot,
                                                      Val firstPosition,
                                                      Val sequence,
                                                      State state) {
  Val page = k.offset(k.shared(), slot * slotBytes);
  SmallVector<Val> s = scores(page);
  Val scale = k.constantF32(op.getScale().convertToFloat());
  Val minusInfinity = k.constantF32(kMinusInfinity);
  Val column = firstPosition + ((lane & 3) << 1);

  // Element e of an accumulator: row e / 2, column e mod 2.
  SmallVector<SmallVector<Val>> scaled(2);
  Val maximum[2] = {state.maximum[0], state.maximum[1]};
  for (int i = 0; i < 2; ++i) {
    Val mine = rowValid[i] & (rowSequence[i] == sequence);
    for (int64_t j = 0; j < kPage / 8; ++j)
      for (int64_t c = 0; c < 2; ++c) {
        Val visible = mine & (column + (j * 8 + c) <= rowPosition[i]);
        Val x = k.select(visible, k.extract(s[j], 2 * i + c) * scale,
                         minusInfinity);
        scaled[i].push_back(x);
        maximum[i] = k.maxF(maximum[i], x);
      }
    maximum[i] = k.warpReduce(maximum[i], Reduction::Max, 4);
  }

  SmallVector<SmallVector<Val>> numerators(2);
  Val zero = k.constantF32(0.0f);
  for (int i = 0; i < 2; ++i) {
    // While a row has seen nothing its maximum is -inf; any finite number in
    // its place makes all factors 0.
    Val reference = k.select(maximum[i] == minusInfinity, zero, maximum[i]);
    Val factor = k.exp(state.maximum[i] - reference);
    Val sum = zero;
    for (Val x : scaled[i]) {
      Val p = k.exp(x - reference);
      sum = sum + p;
      numerators[i].push_back(k.toF16(p));
    }
    state.sum[i] = state.sum[i] * factor + sum;
    state.maximum[i] = maximum[i];
    for (Val &output : state.output)
      for (int64_t c = 0; c < 2; ++c)
        output =
            k.insert(k.extract(output, 2 * i + c) * factor, output, 2 * i + c);
  }

  // Two accumulators of 8 positions are the A fragment of 16.
  SmallVector<Val> fragments;
  for (int64_t j = 0; j < kPage / 8; j += 2) {
    SmallVector<Val> registers;
    for (int64_t part = 0; part < 2; ++part)
      for (int i = 0; i < 2; ++i)
        registers.push_back(k.packHalves(numerators[i][2 * (j + part)],
                                         numerators[i][2 * (j + part) + 1]));
    fragments.push_back(k.vectorOf(registers));
  }
  addValues(state, k.offset(page, halfBytes), fragments);
  return state;
}

void AttentionEmitter::storeRows(const State &state) {
  for (int i = 0; i < 2; ++i) {
    Val total = k.warpReduce(state.sum[i], Reduction::Sum, 4);
    k.ifThen(rowValid[i], [&] {
      Val address = k.offset(k.row(k.result(0), rowToken[i], heads * d * 2),
                             rowHead[i] * (d * 2) + ((lane & 3) << 2));
      for (int64_t n = 0; n < chunks; ++n)
        k.store(k.packHalves(
                    k.toF16(k.extract(state.output[n], 2 * i) / total),
                    k.toF16(k.extract(state.output[n], 2 * i + 1) / total)),
                k.offset(address, n * 16));
    });
  }
}

LogicalResult AttentionEmitter::emit() {
  locateRows();
  loadQueries();

  State init;
  init.output.assign(chunks, k.zeros(k.vec(4, k.f32())));
  for (int i = 0; i < 2; ++i) {
    init.maximum[i] = k.constantF32(kMinusInfinity);
    init.sum[i] = k.constantF32(0.0f);
  }
  Val zero = k.constant(0), one = k.constant(1);

  // Every token that begins a run of one sequence starts a walk over its pages.
  SmallVector<Val> result = k.loop(
      token0, tokenEnd, one, init.flat(), [&](Val first, ArrayRef<Val> outer) {
        Val sequence = perToken(2, first);
        Val isFirst = first == token0;
        Val before = k.select(isFirst, first, first - 1);
        Val starts = isFirst | (k.val(k.create<arith::CmpIOp>(
                                   arith::CmpIPredicate::ne,
                                   perToken(2, before).value, sequence.value)));
        // The last token of the run has its greatest position.
        SmallVector<Val> last = k.loop(
            first, tokenEnd, one, {zero}, [&](Val token, ArrayRef<Val> best) {
              Val same = perToken(2, token) == sequence;
              Val position = perToken(1, token);
              Val greater = k.select(best[0] < position, position, best[0]);
              return SmallVector<Val>{k.select(same, greater, best[0])};
            });
        Val pages = k.select(starts, last[0] / kPage + 1, zero);
        Val table = k.offset(k.operand(3), sequence * (pagesPerSequence * 4));
        auto pageNumber = [&](Val i) {
          return k.load(k.i32(), k.offset(table, i << 2));
        };
        k.ifThen(zero < pages, [&] {
          k.barrier(); // The last run's pages are no longer read.
          startPage(zero, pageNumber(zero));
        });
        k.create<fastgemm::AsyncCommitOp>();
        return k.loop(
            zero, pages, one, outer, [&](Val i, ArrayRef<Val> carried) {
              Val slot = i & 1;
              k.create<fastgemm::AsyncWaitOp>(k.getI32IntegerAttr(0));
              // This page is there, and nobody reads the other slot any more.
              k.barrier();
              Val next = i + 1;
              k.ifThen(next < pages,
                       [&] { startPage(slot ^ 1, pageNumber(next)); });
              k.create<fastgemm::AsyncCommitOp>();
              return processPage(slot, i * kPage, sequence,
                                 State::fromFlat(carried, chunks))
                  .flat();
            });
      });
  storeRows(State::fromFlat(result, chunks));
  int64_t queryBytes = (chunks + 1) / 2 * threads * 16;
  k.finish({cache.kvHeads, 1, 1}, {0, tileTokens, 0}, threads,
           2 * slotBytes + queryBytes);
  return success();
}

} // namespace

LogicalResult conversion::emitAttention(KernelBuilder &k,
                                        graph::AttentionOp op) {
  return AttentionEmitter(k, op).emit();
}
