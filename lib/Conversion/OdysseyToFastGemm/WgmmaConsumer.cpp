//===- WgmmaConsumer.cpp - The consumers of a wgmma product ---------------===//
//
// What the warpgroups that multiply do: quantize the token where the kernel
// does that, unpack weights, multiply, exchange partial sums, store. How the
// parts of the kernel meet stands in MatmulWgmma.cpp.
//
//===----------------------------------------------------------------------===//

#include "WgmmaEmitter.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;
using namespace odyssey::conversion::wgmma;

/// The A fragments of one half of a stage, [k32 step][m64 tile].
SmallVector<Val> WgmmaEmitter::loadWeights(const RingPosition &position,
                                           int64_t half) {
  VectorType registers = k.vec(4, k.i32());
  Val weights =
      k.offset(k.offset(laneWeights, position.slot * shape.stageBytes),
               half * shape.packed.stepBytes());
  SmallVector<Val> fragments(2 * kTilesOfGroup);
  for (int64_t i = 0; i < kTilesOfGroup; ++i) {
    Val block = k.offset(weights, i * shape.packed.blockBytes());
    // Weights of 8 bits are fragments as they are, one for each step.
    if (shape.packed.bits == 8) {
      for (int64_t step = 0; step < 2; ++step)
        fragments[step * kTilesOfGroup + i] =
            k.load(registers, k.offset(block, step * layout::kPieceBytes));
      continue;
    }
    Val packed = k.load(registers, block);
    auto dequant = k.create<fastgemm::DequantOp>(packed.value);
    fragments[i] = k.val(dequant.getLow());
    fragments[kTilesOfGroup + i] = k.val(dequant.getHigh());
  }
  return fragments;
}

/// Matrix descriptor of a tile of activations, K-major with 128-byte swizzle
/// (PTX ISA, "Matrix descriptor format"): address and stride between groups of
/// 8 rows in units of 16 bytes.
Val WgmmaEmitter::descriptor(Val activations) {
  constexpr uint64_t swizzle128 = uint64_t(1) << 62;
  constexpr uint64_t stride = uint64_t(8 * kTileK / 16) << 32;
  Val address = k.val(k.create<LLVM::PtrToIntOp>(k.i32(), activations.value));
  return k.toI64((address >> 4) & 0x3FFF) |
         k.constant(static_cast<int64_t>(swizzle128 | stride), k.i64());
}

WgmmaEmitter::Accumulators
WgmmaEmitter::multiply(const SmallVector<Val> &fragments, Val activations,
                       int64_t half, const Accumulators &sums) {
  Val tileDescriptor = descriptor(activations);
  int64_t perTile = shape.tokens / 8;
  SmallVector<Value> registers(fragments.begin(), fragments.end());
  registers.append(sums.begin(), sums.end());
  auto fence = k.create<fastgemm::WgmmaFenceOp>(registers);
  ResultRange written = fence.getResults().take_front(fragments.size());
  Accumulators results;
  for (Value sum : fence.getResults().drop_front(fragments.size()))
    results.push_back(k.val(sum));
  for (int64_t step = 0; step < 2; ++step) {
    // 32 bytes along K are 2 in the descriptor.
    Val b = tileDescriptor + 2 * (2 * half + step);
    for (int64_t i = 0; i < kTilesOfGroup; ++i) {
      auto tile = MutableArrayRef(results).slice(i * perTile, perTile);
      SmallVector<Value> accumulators(tile.begin(), tile.end());
      auto product = k.create<fastgemm::WgmmaOp>(
          written[step * kTilesOfGroup + i], b.value, accumulators);
      for (auto [sum, value] : llvm::zip_equal(tile, product.getResults()))
        sum = k.val(value);
    }
  }
  k.create<NVVM::WgmmaGroupSyncAlignedOp>();
  return results;
}

WgmmaEmitter::Accumulators
WgmmaEmitter::waitForProducts(const Accumulators &sums) {
  SmallVector<Value> values(sums.begin(), sums.end());
  auto wait = k.create<fastgemm::WgmmaWaitOp>(0, values);
  Accumulators results;
  for (Value value : wait.getResults())
    results.push_back(k.val(value));
  return results;
}

void WgmmaEmitter::leaveStage(Val slot) {
  Val barrier = emptyBarrier(slot);
  if (shape.multicast == 1) {
    k.ifThen(lane == 0, [&] {
      k.create<NVVM::MBarrierArriveOp>(k.i64(), barrier.value, Value(),
                                       NVVM::MemScopeKind::CTA,
                                       /*relaxed=*/false);
    });
    return;
  }
  // Each CTA of the cluster sends activations here. A lane tells one of them.
  k.ifThen(lane < shape.multicast, [&] {
    Val remote = k.val(
        k.create<NVVM::MapaOp>(clusterPointer(), barrier.value, lane.value));
    k.create<NVVM::MBarrierArriveOp>(Type(), remote.value, Value(),
                                     NVVM::MemScopeKind::CLUSTER,
                                     /*relaxed=*/false);
  });
}

RingPosition WgmmaEmitter::sumTile(Val first, Val last,
                                   const RingPosition &start,
                                   Accumulators &sums) {
  auto waitFor = [&](const RingPosition &position) {
    k.create<fastgemm::BarrierWaitOp>(fullBarrier(position.slot).value,
                                      position.parity.value);
  };
  waitFor(start);
  int64_t sumCount = kTilesOfGroup * shape.tokens / 8;
  SmallVector<Val> init = {start.slot, start.parity};
  init.append(sumCount, k.zeros(k.vec(4, k.i32())));
  init.append(loadWeights(start, 0));
  auto activationsOf = [&](Val kTile, Val slot) {
    return shape.producer ? k.offset(k.shared(shape.resident),
                                     (kTile - first) * shape.activationBytes)
                          : k.offset(k.shared(), slot * shape.stageBytes);
  };
  SmallVector<Val> result =
      k.loop(first, last, k.constant(1), init,
             [&](Val kTile, ArrayRef<Val> carried) -> SmallVector<Val> {
               RingPosition position = {carried[0], carried[1]};
               Accumulators running(carried.slice(2, sumCount));
               SmallVector<Val> fragments(carried.drop_front(2 + sumCount));

               Val tile = activationsOf(kTile, position.slot);
               running = multiply(fragments, tile, 0, running);
               SmallVector<Val> second = loadWeights(position, 1);
               running = waitForProducts(running);

               running = multiply(second, tile, 1, running);
               // Behind the last stage there is nothing to load: this one's
               // first half once more, which is there.
               RingPosition following = next(position);
               Val more = kTile + 1 < last;
               RingPosition source = {
                   k.select(more, following.slot, position.slot),
                   k.select(more, following.parity, position.parity)};
               waitFor(source);
               SmallVector<Val> upcoming = loadWeights(source, 0);
               running = waitForProducts(running);
               leaveStage(position.slot);

               SmallVector<Val> values = {following.slot, following.parity};
               values.append(running);
               values.append(upcoming);
               return values;
             });
  sums.assign(result.begin() + 2, result.begin() + 2 + sumCount);
  return {result[0], result[1]};
}

/// Quad 2j + c of a thread: its four adjacent channels of token 8j + 2t + c.
SmallVector<Val> WgmmaEmitter::quadOf(const Accumulators &sums, int64_t quad) {
  int64_t block = quad / 2, column = quad % 2;
  SmallVector<Val> result;
  // Channel 4g + 2i + p is element (column + 2p) of the accumulator of tile i.
  for (int64_t i = 0; i < kTilesOfGroup; ++i)
    for (int64_t p = 0; p < 2; ++p)
      result.push_back(
          k.extract(sums[i * shape.tokens / 8 + block], column + 2 * p));
  return result;
}

Val WgmmaEmitter::channelOf(const OutputTile &tile) {
  return (tile.channels * shape.groups + group) * kGroupChannels +
         ((warp & 3) << 5) + ((lane >> 2) << 2);
}

Val WgmmaEmitter::tokenOf(const OutputTile &tile, Val quad) {
  return tile.tokens * shape.tokens + (quad >> 1) * 8 + ((lane & 3) << 1) +
         (quad & 1);
}

void WgmmaEmitter::store(const OutputTile &tile, const Accumulators &sums) {
  SmallVector<Val> tokens;
  SmallVector<SmallVector<Val>> quads;
  for (int64_t quad = 0; quad < shape.quads; ++quad) {
    tokens.push_back(tokenOf(tile, k.constant(quad)));
    quads.push_back(quadOf(sums, quad));
  }
  epilogue.storeAll(tokens, channelOf(tile), quads);
}

/// Quad q goes to the CTA of rank q mod split_k.
void WgmmaEmitter::exchangeAndStore(const OutputTile &tile,
                                    const Accumulators &sums) {
  int64_t threads = shape.schedule.getConsumerThreads();
  int64_t quadBytes = threads * 16;
  Val thread = k.threadIndex();
  // [sender][index in the receiver's share][thread]
  Val mine = k.offset(k.offset(k.shared(shape.exchange), thread << 4),
                      rank * (shape.share * quadBytes));
  k.create<NVVM::ClusterWaitOp>(k.getUnitAttr());
  for (int64_t receiver = 0; receiver < shape.splitK; ++receiver) {
    Val box = k.val(k.create<NVVM::MapaOp>(clusterPointer(), mine.value,
                                           k.constant(receiver).value));
    for (int64_t quad = receiver; quad < shape.quads; quad += shape.splitK)
      k.store(k.vectorOf(quadOf(sums, quad)),
              k.offset(box, quad / shape.splitK * quadBytes));
  }
  k.create<NVVM::ClusterArriveOp>(k.getUnitAttr());
  k.create<NVVM::ClusterWaitOp>(k.getUnitAttr());

  Val received = k.offset(k.shared(shape.exchange), thread << 4);
  SmallVector<Val> tokens;
  SmallVector<SmallVector<Val>> totals;
  for (int64_t i = 0; i < shape.share; ++i) {
    Val quad = rank + i * shape.splitK;
    auto add = [&] {
      Val total;
      for (int64_t sender = 0; sender < shape.splitK; ++sender) {
        Val part =
            k.load(k.vec(4, k.i32()),
                   k.offset(received, (sender * shape.share + i) * quadBytes));
        total = total.value ? total + part : part;
      }
      return total;
    };
    // The last ones may have less to do: a token that is not stored.
    bool whole = shape.quads % shape.splitK == 0 || i + 1 < shape.share;
    Val total = whole ? add() : k.ifElse(quad < shape.quads, add, [&] {
      return k.zeros(k.vec(4, k.i32()));
    });
    Val token = tokenOf(tile, quad);
    tokens.push_back(whole ? token
                           : k.select(quad < shape.quads, token, k.tokens()));
    SmallVector<Val> elements;
    for (int64_t element = 0; element < ProductEpilogue::kChannels; ++element)
      elements.push_back(k.extract(total, element));
    totals.push_back(elements);
  }
  epilogue.storeAll(tokens, channelOf(tile), totals);
}

void WgmmaEmitter::consumerBarrier() {
  // The barrier, and products behind it, want whole warps, of which some lanes
  // come out of branches here.
  k.create<NVVM::SyncWarpOp>(k.constant(-1).value);
  k.create<NVVM::BarrierOp>(
      TypeRange(), k.constant(1).value,
      k.constant(shape.schedule.getConsumerThreads()).value,
      NVVM::BarrierReductionAttr(), Value());
}

/// Quantizes the token, and keeps its part of K as row 0 of the resident tiles.
void WgmmaEmitter::quantizeToken() {
  int64_t threads = shape.schedule.getConsumerThreads();
  Val resident = k.shared(shape.resident);
  Val thread = k.threadIndex();
  VectorType chunk = k.vec(4, k.i32());
  // The other rows of a tile are tokens that do not exist.
  int64_t rowBytes = kTileK, chunksOfTile = (shape.tokens - 1) * rowBytes / 16;
  k.loop(thread, k.constant(shape.residentTiles * chunksOfTile),
         k.constant(threads), {}, [&](Val i, ArrayRef<Val>) {
           k.store(k.zeros(chunk),
                   k.offset(resident, i / chunksOfTile * shape.activationBytes +
                                          i % chunksOfTile * 16 + rowBytes));
           return SmallVector<Val>();
         });
  auto [first, last] = rangeOfK();
  Val firstTile = first, count = last - first;
  // Row 0 of a tile is not exchanged by the swizzle.
  auto addressOf = [&](Val column) {
    return k.offset(resident,
                    (column / kTileK - firstTile) * shape.activationBytes +
                        column % kTileK);
  };
  auto isOwn = [&](Val column) { return column / kTileK - firstTile < count; };
  int64_t columns = shape.packed.k, padded = shape.kTiles * kTileK;
  constexpr int64_t pieceBytes = 8;
  k.loop(thread, k.constant((padded - columns) / pieceBytes),
         k.constant(threads), {}, [&](Val i, ArrayRef<Val>) {
           Val column = i * pieceBytes + columns;
           k.ifThen(isOwn(column), [&] {
             k.store(k.zeros(k.vec(2, k.i32())), addressOf(column));
           });
           return SmallVector<Val>();
         });
  epilogue.setTokenScale(
      emitQuantizedRow(k, shape.producer, threads, shape.scratch,
                       [&] { consumerBarrier(); }, addressOf,
                       {firstTile * kTileK, (firstTile + count) * kTileK,
                        shape.residentTiles * kTileK}));
  // wgmma reads through the asynchronous proxy.
  k.create<NVVM::FenceProxyOp>(
      NVVM::ProxyKindAttr::get(k.getContext(), NVVM::ProxyKind::async_shared),
      NVVM::SharedSpaceAttr::get(k.getContext(),
                                 NVVM::SharedSpace::shared_cta));
  consumerBarrier();
}

void WgmmaEmitter::consume() {
  group = warp >> 2;
  laneWeights =
      k.offset(k.shared(shape.weightsInStage),
               group * (kHalves * shape.packed.stepBytes()) +
                   (warp & 3) * (kTilesOfGroup * shape.packed.blockBytes()) +
                   (lane << 4));
  if (isStream()) {
    consumeStream();
    return;
  }
  bool persistent = shape.schedule.getCtas() > 0;
  if (persistent)
    k.waitForPrevious();
  if (shape.producer)
    quantizeToken();
  forEachTile([&](OutputTile tile, RingPosition start) {
    if (shape.givesMaxima) {
      int64_t warps = shape.schedule.getChannelWarps();
      epilogue.setMaximaColumn(tile.channels * warps + warp,
                               shape.channelTiles * warps);
    }
    Accumulators sums;
    auto [first, last] = rangeOfK();
    RingPosition end = sumTile(first, last, start, sums);
    // Scales of tokens come from the kernel in front.
    if (!persistent && !shape.producer)
      k.waitForPrevious();
    if (shape.splitK > 1)
      exchangeAndStore(tile, sums);
    else
      store(tile, sums);
    return end;
  });
}
