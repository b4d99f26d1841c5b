//===- AttentionChunks.cpp - Attention over chunks of the KV length -------===//

#include "AttentionChunks.h"

#include <limits>

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

static constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
/// Slots for pages in shared memory, as many as fit these bytes: copies in
/// flight are what hides the memory's latency.
static constexpr int64_t kStageBytes = 96 * 1024;
static constexpr int64_t kMinStages = 2;

ChunkEmitter::ChunkEmitter(KernelBuilder &k, const ChunkedAttention &op)
    : pages(k, op.cacheType, kThreads), heads(op.heads),
      group(heads / pages.cache.kvHeads), d(pages.cache.headDim),
      rowBlocks((group + kRows - 1) / kRows), k(k), op(op),
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
  position = k.load(k.i32(), k.offset(op.positions, token << 2));
  Val sequence = k.load(k.i32(), k.offset(op.sequences, token << 2));
  table = k.offset(op.pageTable, sequence * (op.pagesPerSequence * 4));
  cacheHead = pages.headBase(op.cache, op.layer, kvHead);
  for (int i = 0; i < 2; ++i) {
    Val row = block % rowBlocks * kRows + (lane >> 2) + i * 8;
    rowValid[i] = row < group;
    rowHead[i] = kvHead * group + row;
  }
}

SmallVector<Val> ChunkEmitter::loadQueries(llvm::function_ref<Val(int)> rowAt) {
  Val zero = k.constant(0);
  Val rows[2] = {rowAt(0), rowAt(1)};
  SmallVector<Val> fragments;
  for (int64_t step = 0; step < pages.steps(); ++step) {
    SmallVector<Val> registers(4, zero);
    for (int i = 0; i < 2; ++i)
      for (int64_t part = 0; part < 2; ++part) {
        int64_t piece = 2 * step + part;
        if (piece >= pages.pieces())
          continue;
        Val address = k.offset(rows[i], ((lane & 3) << 2) + piece * 16);
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

  Val scale = k.constantF32(op.scale);
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
void ChunkEmitter::storeChunk(Val chunk, const State &state,
                              const ChunkResults &results) {
  for (int i = 0; i < 2; ++i) {
    Val index = (token * heads + rowHead[i]) * op.chunkCount + chunk;
    Val values = k.row(results.values, index, d * 4);
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
          k.row(results.stats, index, 8));
    });
  }
}

Val ChunkEmitter::pagesOf(Val chunk) {
  return k.min(position / kPage + 1 - firstPage(chunk),
               k.constant(kChunkPages));
}

void ChunkEmitter::startPage(Val chunk, Val index) {
  k.ifThen(index < pagesOf(chunk), [&] {
    Val page =
        k.load(k.i32(), k.offset(table, (firstPage(chunk) + index) << 2));
    pages.start(slot(index), cacheHead, page);
  });
  k.create<fastgemm::AsyncCommitOp>();
}

void ChunkEmitter::startChunk(Val chunk) {
  for (int64_t stage = 0; stage + 1 < stages; ++stage)
    startPage(chunk, k.constant(stage));
}

void ChunkEmitter::finishChunk(Val chunk, ArrayRef<Val> queries,
                               const ChunkResults &results) {
  State state;
  state.tiles.assign(ownPieces + 1, k.zeros(k.vec(4, k.f32())));
  state.maximum[0] = state.maximum[1] = k.constantF32(kMinusInfinity);
  SmallVector<Val> result =
      k.loop(k.constant(0), pagesOf(chunk), k.constant(1), state.flat(),
             [&](Val i, ArrayRef<Val> carried) {
               k.create<fastgemm::AsyncWaitOp>(k.getI32IntegerAttr(stages - 2));
               // This page is there, and nobody reads the slot of the one
               // before, the maxima or the numerators any more.
               k.barrier();
               startPage(chunk, i + (stages - 1));
               Val page = pages.finish(slot(i), stages);
               return processPage(page, (firstPage(chunk) + i) * kPage, queries,
                                  State::fromFlat(carried))
                   .flat();
             });
  storeChunk(chunk, State::fromFlat(result), results);
}

void ChunkEmitter::emitChunks(
    llvm::function_ref<SmallVector<Val>()> loadQueries,
    const ChunkResults &results) {
  Val first = k.blockIndex(2), end = chunks();
  startChunk(first);
  SmallVector<Val> queries = loadQueries();
  k.loop(first, end, k.constant(op.splits), {}, [&](Val chunk, ArrayRef<Val>) {
    finishChunk(chunk, queries, results);
    Val following = chunk + op.splits;
    k.ifThen(following < end, [&] {
      k.barrier(); // The pages of this chunk are no longer read.
      startChunk(following);
    });
    return SmallVector<Val>();
  });
}
