//===- AttentionChunks.cpp - Attention over chunks of the KV length -------===//

#include "AttentionChunks.h"

#include <limits>

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

static constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
/// Slots for pages in shared memory, as many as fit these bytes: copies in
/// flight are what hides the memory's latency. A CTA has 99 KB on the smallest
/// GPUs; on Hopper, whose memory is the fastest, two have more.
static constexpr int64_t kStageBytes = 92 * 1024,
                         kHopperStageBytes = 104 * 1024;
static constexpr int64_t kMinStages = 2;

ChunkEmitter::ChunkEmitter(KernelBuilder &k, const ChunkedAttention &op)
    : pages(k, op.cacheType, kThreads), heads(op.heads),
      group(heads / pages.cache.kvHeads), d(pages.cache.headDim),
      rowBlocks((group + kRows - 1) / kRows), k(k), op(op),
      ownPieces((pages.pieces() + kWarps - 1) / kWarps),
      stages(std::clamp(((k.isHopper() ? kHopperStageBytes : kStageBytes) -
                         pages.sharedBytes()) /
                            pages.slotBytes(),
                        kMinStages, kChunkPages)) {
  pages.slots = stages;
  constexpr int64_t exchangeBytes = kWarps * 32 * 16;
  sumBytes = pages.sharedBytes();
  weightBytes = sumBytes + exchangeBytes;
  maximaBytes = weightBytes + exchangeBytes;
}

SmallVector<Val> ChunkEmitter::State::flat() const {
  SmallVector<Val> all(tiles);
  for (const RowState &row : rows)
    all.append({row.maximum, row.sum});
  return all;
}
ChunkEmitter::State ChunkEmitter::State::fromFlat(ArrayRef<Val> all) {
  State state;
  state.tiles.assign(all.begin(), all.end() - 4);
  for (auto [i, row] : llvm::enumerate(state.rows))
    row = {all[all.size() - 4 + 2 * i], all[all.size() - 3 + 2 * i]};
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

SmallVector<Val> ChunkEmitter::exchange(Val own, int64_t bytes) {
  auto address = [&](Val ofWarp) {
    return k.offset(k.shared(bytes), (ofWarp << 9) + (lane << 4));
  };
  k.store(own, address(warp));
  k.barrier();
  SmallVector<Val> all;
  for (int64_t w = 0; w < kWarps; ++w)
    all.push_back(k.load(own.type(), address(k.constant(w))));
  return all;
}

ChunkEmitter::State ChunkEmitter::processPage(const PagePlace &page,
                                              Val firstPosition,
                                              ArrayRef<Val> queries,
                                              State state) {
  // Scores of this warp's 16 positions: two accumulators.
  Val first = warp << 4;
  SmallVector<Val> sums(2, k.zeros(k.vec(4, k.f32())));
  for (int64_t step = 0; step < pages.steps(); ++step)
    for (int64_t j = 0; j < 2; ++j)
      sums[j] = k.mmaF16(queries[step],
                         pages.keyFragment(page, first, j * 8, step), sums[j]);

  Val factor = scoreFactor(k, op.scale);
  Val minusInfinity = k.constantF32(kMinusInfinity);
  Val column = firstPosition + first + ((lane & 3) << 1);
  SmallVector<Val> keyFactors, valueScales;
  for (int64_t j = 0; j < 2; ++j) {
    Val ofKeys = pages.columnScales(page.keyScales, first + j * 8);
    Val ofValues = pages.columnScales(page.valueScales, first + j * 8);
    for (int64_t c = 0; c < 2; ++c) {
      keyFactors.push_back(k.extract(ofKeys, c) * factor);
      valueScales.push_back(k.extract(ofValues, c));
    }
  }
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
            visible, k.extract(sums[j], 2 * i + c) * keyFactors[2 * j + c],
            minusInfinity));
        maximum = k.maxF(maximum, scaled[i].back());
      }
    maximum = k.warpReduce(maximum, Reduction::Max, 4);
    k.ifThen((lane & 3) == 0, [&] { k.store(maximum, maxima(warp, i)); });
  }
  k.barrier();
  Val maximum[2];
  BlockWeights blocks[2];
  for (int i = 0; i < 2; ++i) {
    for (int64_t w = 0; w < kWarps; ++w) {
      Val ofWarp = k.load(k.f32(), maxima(k.constant(w), i));
      maximum[i] = w == 0 ? ofWarp : k.maxF(maximum[i], ofWarp);
    }
    blocks[i] = blockWeights(k, scaled[i], valueScales, maximum[i]);
  }
  // The sums of the blocks in order, as where one lane has them all.
  Val sumsOfPage;
  for (Val ofWarp :
       exchange(k.vectorOf({blocks[0].exponentials, blocks[0].sum,
                            blocks[1].exponentials, blocks[1].sum}),
                sumBytes))
    sumsOfPage = sumsOfPage.value ? sumsOfPage + ofWarp : ofWarp;
  PageFactors factors[2];
  SmallVector<Val> own[2];
  for (int i = 0; i < 2; ++i) {
    factors[i] =
        addPage(k, state.rows[i], maximum[i], k.extract(sumsOfPage, 2 * i),
                k.extract(sumsOfPage, 2 * i + 1));
    own[i] = roundWeights(k, blocks[i].products, factors[i]);
  }
  SmallVector<Val> registers;
  for (int64_t j = 0; j < 2; ++j)
    for (const SmallVector<Val> &row : own)
      registers.push_back(k.packHalves(row[2 * j], row[2 * j + 1]));
  SmallVector<Val> weights = exchange(k.vectorOf(registers), weightBytes);

  for (int64_t i = 0; i < ownPieces; ++i) {
    Val sum = k.zeros(k.vec(4, k.f32()));
    for (int64_t step = 0; step < kWarps; ++step)
      sum = k.mmaF16(weights[step],
                     pages.valueFragment(page, step * 16, ownPiece(i), 0), sum);
    state.tiles[i] = addToRows(k, state.tiles[i], sum, factors);
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
      k.store(k.vectorOf({state.rows[i].maximum, state.rows[i].sum}),
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
    pages.start(index % stages, cacheHead, page);
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
  state.tiles.assign(ownPieces, k.zeros(k.vec(4, k.f32())));
  for (RowState &row : state.rows)
    row = {k.constantF32(kMinusInfinity), k.constantF32(0.0f)};
  SmallVector<Val> result =
      k.loop(k.constant(0), pagesOf(chunk), k.constant(1), state.flat(),
             [&](Val i, ArrayRef<Val> carried) {
               k.create<fastgemm::AsyncWaitOp>(k.getI32IntegerAttr(stages - 2));
               // This page is there, and nobody reads the slot of the one
               // before, the maxima, sums or weights any more.
               k.barrier();
               startPage(chunk, i + (stages - 1));
               PagePlace page = pages.finish(i % stages);
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
