//===- MatmulWgmma.cpp - The integer product for the wgmma path -----------===//
//
// Y^T = W X^T on Hopper. One thread, the producer, brings tiles of packed
// weights and of swizzled activations to a ring of stages in shared memory,
// with 1-D bulk copies that report to mbarriers. One to three consumer
// warpgroups, of 128 channels each, read their weights into registers, unpack
// them there and multiply with wgmma, A from registers and B from shared
// memory.
//
// A stage is 128 k; a consumer takes it in two halves of 64 k:
//
//   products of half 0 | wait | products of half 1 | wait | products of half 0
//   ..
//     unpack half 1    |      |  unpack next half 0 |      |   unpack half 1
//
// so that weights are unpacked while the tensor cores work on those before. An
// A register is written again only behind the wait for the products that read
// it. While one warpgroup waits, the other one's products run.
//
// A warpgroup's 128 channels are two m64 tiles. Warp w multiplies blocks 2w and
// 2w + 1 of its panel of packed weights, one in either tile, so that a thread
// holds four adjacent channels of a token as on the path mma_sync.
//
// A stage in shared memory, at a multiple of 1024 bytes:
//   activations  [tokens][128 bytes]                128-byte swizzle
//   weights      [channels / 128][2][8][512 bytes]  as packed
//
// Weights of 8 bits have twice the bytes, two pieces of 512 to a block, and are
// A fragments as they are.
//
// Behind the stages: the exchange of a cluster, then two mbarriers per stage,
// `full` and `empty`.
//
// With split_k, the CTAs of a cluster each sum over a part of K. Every thread
// gives each of its groups of four channels of a token to one of the CTAs, in
// turn, through distributed shared memory. That one adds what the same thread
// of all CTAs has sent, and stores: sums of integers, exact in any order.
//
// With multicast, the CTAs of a cluster have the same tokens and neighbouring
// channels, and walk over them and K in step: each brings a part of every tile
// of activations, to all of them. A stage is full when all parts and the CTA's
// own weights have come, and empty when the consumers of all CTAs have left it.
//
// With stream_k (WgmmaStreamK.cpp), CTAs share the stages of all tiles equally,
// and meet in global memory.
//
// For one token, the operation that quantizes it can be part of the kernel
// (`odyssey-fuse-prologues`): every CTA's consumers quantize the token
// themselves while the first weights are on their way, and keep what they need
// of it, as row 0 of the tiles of its part of K, behind the stages, which then
// hold weights alone.
//
// K is padded to 128 by zeros in the activations. Where packed weights end in
// the middle of a stage, their last 64 k stand there twice: times zero.
//
//===----------------------------------------------------------------------===//

#include "WgmmaEmitter.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;
using namespace odyssey::conversion::wgmma;

/// CTAs of neighbouring tokens that share weights through the L2 cache.
static constexpr int64_t kTokenTilesTogether = 16;
/// Registers of a thread while a CTA of 2 or 3 consumer warpgroups and one of
/// the producer runs: 128 x 40 + 256 x 232 is what 384 threads have, and 128 x
/// 40 + 384 x 152 less than what 512 threads have.
static constexpr int32_t kProducerRegisters = 40;
static int32_t consumerRegisters(int64_t groups) {
  return groups == 2 ? 232 : 152;
}

//===----------------------------------------------------------------------===//
// Barriers and copies
//===----------------------------------------------------------------------===//

void WgmmaEmitter::initializeBarriers() {
  k.ifThen(k.threadIndex() == 0, [&] {
    for (int64_t stage = 0; stage < shape.stages; ++stage) {
      Val slot = k.constant(stage);
      // The producer arrives at `full`, every consumer warp that reads its
      // activations at `empty`.
      k.create<NVVM::MBarrierInitOp>(fullBarrier(slot).value,
                                     k.constant(1).value, Value());
      k.create<NVVM::MBarrierInitOp>(
          emptyBarrier(slot).value,
          k.constant(shape.schedule.getChannelWarps() * shape.multicast).value,
          Value());
    }
    k.create<NVVM::FenceMbarrierInitOp>();
  });
  // Nobody may write to a CTA that has not started, or arrive at its barriers.
  // With split_k, consumers wait for it when they come to the exchange.
  if (shape.multicast == 1)
    k.barrier();
  if (shape.schedule.getClusterCtas() > 1)
    k.create<NVVM::ClusterArriveOp>(k.getUnitAttr());
  if (shape.multicast > 1)
    k.create<NVVM::ClusterWaitOp>(k.getUnitAttr());
}

void WgmmaEmitter::bulkCopy(Val destination, Val source, int64_t bytes,
                            Val barrier, Val policy, Val receivers) {
  k.create<NVVM::CpAsyncBulkGlobalToSharedClusterOp>(
      destination.value, source.value, barrier.value, k.constant(bytes).value,
      receivers.value, policy.value);
}

//===----------------------------------------------------------------------===//
// The ring and the tiles
//===----------------------------------------------------------------------===//

RingPosition WgmmaEmitter::next(const RingPosition &position) {
  Val slot = position.slot + 1;
  Val wraps = slot == shape.stages;
  return {k.select(wraps, k.constant(0), slot),
          position.parity ^
              k.val(k.create<arith::ExtUIOp>(k.i32(), wraps.value))};
}

/// Tiles of up to kTokenTilesTogether groups of tokens follow each other before
/// the next channels: CTAs that run at one time then share both.
OutputTile WgmmaEmitter::tileOf(Val index) {
  Val tokenTiles = tokenTileCount();
  Val perBand = k.constant(kTokenTilesTogether * shape.channelClusters);
  Val band = index / perBand;
  Val first = band * kTokenTilesTogether;
  Val height = k.min(tokenTiles - first, k.constant(kTokenTilesTogether));
  Val inBand = index - band * perBand;
  Val channels = inBand / height;
  if (shape.multicast > 1)
    channels = channels * shape.multicast + rank;
  return {channels, first + inBand % height};
}

void WgmmaEmitter::forEachTile(
    llvm::function_ref<RingPosition(OutputTile, RingPosition)> body) {
  RingPosition start = {k.constant(0), k.constant(0)};
  if (shape.schedule.getCtas() == 0) {
    body(tileOfCta(), start);
    return;
  }
  // Of all CTAs of a cluster together.
  Val tiles = tokenTileCount() * shape.channelClusters;
  Val ctas = k.val(k.create<NVVM::GridDimXOp>(k.i32()));
  k.loop(k.blockIndex(0) / shape.multicast, tiles, ctas / shape.multicast,
         {start.slot, start.parity},
         [&](Val index, ArrayRef<Val> carried) -> SmallVector<Val> {
           RingPosition end = body(tileOf(index), {carried[0], carried[1]});
           return {end.slot, end.parity};
         });
}

std::pair<Val, Val> WgmmaEmitter::rangeOfK() {
  if (shape.splitK == 1)
    return {k.constant(0), k.constant(shape.kTiles)};
  return {rank * shape.kTiles / shape.splitK,
          (rank + 1) * shape.kTiles / shape.splitK};
}

//===----------------------------------------------------------------------===//
// The producer
//===----------------------------------------------------------------------===//

void WgmmaEmitter::bringWeights(const OutputTile &tile, Val kTile, Val slot,
                                Val policy) {
  Val full = fullBarrier(slot);
  k.create<NVVM::MBarrierArriveExpectTxOp>(
      k.i64(), full.value, k.constant(shape.stageBytes).value,
      NVVM::MemScopeKind::CTA, /*relaxed=*/false, Value());
  Val stage = k.offset(k.shared(), slot * shape.stageBytes);
  int64_t stepBytes = shape.packed.stepBytes();
  for (int64_t i = 0; i < shape.groups; ++i) {
    // Behind the last panel the last one again: its products are not stored.
    Val panel =
        k.min(tile.channels * shape.groups + i, k.constant(shape.panels - 1));
    Val source = k.offset(k.row(weights, panel, shape.packed.panelBytes()),
                          kTile * (kHalves * stepBytes));
    Val destination =
        k.offset(stage, shape.weightsInStage + i * kHalves * stepBytes);
    auto wholeStage = [&] {
      bulkCopy(destination, source, kHalves * stepBytes, full, policy);
    };
    if (!shape.endsInHalf) {
      wholeStage();
      continue;
    }
    k.ifThenElse(
        kTile == shape.kTiles - 1,
        [&] {
          for (int64_t half = 0; half < kHalves; ++half)
            bulkCopy(k.offset(destination, half * stepBytes), source, stepBytes,
                     full, policy);
        },
        wholeStage);
  }
}

void WgmmaEmitter::prefetchWeights(const OutputTile &tile, Val first,
                                   Val last) {
  int64_t stepBytes = shape.packed.stepBytes();
  Val end = k.min(first + shape.prefetch, last);
  k.ifThen(first < end, [&] {
    // In a panel, K tiles follow each other. The last one may be half a tile.
    Val steps = k.min(end * kHalves,
                      k.constant(shape.packed.paddedK() / layout::kBlockK)) -
                first * kHalves;
    for (int64_t i = 0; i < shape.groups; ++i) {
      Val panel =
          k.min(tile.channels * shape.groups + i, k.constant(shape.panels - 1));
      Val source = k.offset(k.row(weights, panel, shape.packed.panelBytes()),
                            first * (kHalves * stepBytes));
      k.create<NVVM::CpAsyncBulkPrefetchOp>(source.value,
                                            (steps * stepBytes).value, Value());
    }
  });
}

void WgmmaEmitter::bringActivations(const OutputTile &tile, Val kTile,
                                    Val slot) {
  Val source = k.row(activations, tile.tokens * shape.kTiles + kTile,
                     shape.activationBytes);
  Val stage = k.offset(k.shared(), slot * shape.stageBytes);
  if (shape.multicast == 1) {
    bulkCopy(stage, source, shape.activationBytes, fullBarrier(slot), Val());
    return;
  }
  int64_t bytes = shape.activationBytes / shape.multicast;
  Val part = rank * bytes;
  Val destination = k.val(k.create<LLVM::AddrSpaceCastOp>(
      clusterPointer(), k.offset(stage, part).value));
  Val everyCta =
      k.constant((int64_t(1) << shape.multicast) - 1, k.getI16Type());
  bulkCopy(destination, k.offset(source, part), bytes, fullBarrier(slot), Val(),
           everyCta);
}

RingPosition WgmmaEmitter::bringStages(const OutputTile &tile, Val first,
                                       Val last, const RingPosition &start,
                                       Val policy) {
  SmallVector<Val> end =
      k.loop(first, last, k.constant(1), {start.slot, start.parity},
             [&](Val kTile, ArrayRef<Val> carried) -> SmallVector<Val> {
               RingPosition position = {carried[0], carried[1]};
               // In the first round nobody has to leave the stage: parity 1 has
               // ended.
               k.create<fastgemm::BarrierWaitOp>(
                   emptyBarrier(position.slot).value,
                   (position.parity ^ 1).value, shape.multicast > 1);
               bringWeights(tile, kTile, position.slot, policy);
               if (!shape.producer)
                 bringActivations(tile, kTile, position.slot);
               RingPosition following = next(position);
               return {following.slot, following.parity};
             });
  return {end[0], end[1]};
}

/// Weights are nobody's result, so that the first round of them is under way
/// while the kernel in front still runs, and those behind it on their way to
/// the L2 cache.
void WgmmaEmitter::produceTile(const OutputTile &tile) {
  Val policy = k.val(k.create<fastgemm::EvictFirstPolicyOp>(k.i64()));
  auto [first, last] = rangeOfK();
  Val ahead = k.min(first + shape.stages, last);
  auto firstRound = [&](llvm::function_ref<void(Val, Val)> body) {
    k.loop(first, ahead, k.constant(1), {},
           [&, first = first](Val kTile, ArrayRef<Val>) -> SmallVector<Val> {
             body(kTile, kTile - first);
             return {};
           });
  };
  firstRound(
      [&](Val kTile, Val slot) { bringWeights(tile, kTile, slot, policy); });
  if (shape.prefetch > 0)
    prefetchWeights(tile, ahead, last);
  if (!shape.producer) {
    k.waitForPrevious();
    firstRound(
        [&](Val kTile, Val slot) { bringActivations(tile, kTile, slot); });
  }
  bringStages(tile, ahead, last, {k.constant(0), k.constant(1)}, policy);
}

void WgmmaEmitter::produce() {
  if (isStream()) {
    produceStream();
    return;
  }
  if (shape.schedule.getCtas() == 0) {
    produceTile(tileOfCta());
    return;
  }
  // Persistent CTAs are for many tokens: each tile of tokens reads the weights,
  // which then stay in the cache.
  k.waitForPrevious();
  forEachTile([&](OutputTile tile, RingPosition start) -> RingPosition {
    auto [first, last] = rangeOfK();
    return bringStages(tile, first, last, start, Val());
  });
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

void WgmmaEmitter::emit() {
  warp = k.warpIndex();
  lane = k.threadIndex() & 31;
  if (shape.schedule.getClusterCtas() > 1)
    rank = k.val(k.create<NVVM::ClusterId>(k.i32()));
  initializeBarriers();
  int64_t consumers = shape.schedule.getChannelWarps();
  bool moveRegisters = shape.schedule.movesRegisters();
  k.ifThenElse(
      warp < consumers,
      [&] {
        if (moveRegisters)
          k.create<NVVM::SetMaxRegisterOp>(
              consumerRegisters(shape.groups),
              NVVM::SetMaxRegisterAction::increase);
        consume();
      },
      [&] {
        if (moveRegisters)
          k.create<NVVM::SetMaxRegisterOp>(
              kProducerRegisters, NVVM::SetMaxRegisterAction::decrease);
        k.ifThen(k.land(warp == consumers, lane == 0), [&] { produce(); });
      });
  // Nobody may end while others still send to its stages or barriers. Warps
  // come as a whole, the producer's after its one thread.
  if (shape.multicast > 1) {
    k.create<NVVM::SyncWarpOp>(k.constant(-1).value);
    k.create<NVVM::ClusterArriveOp>(k.getUnitAttr());
    k.create<NVVM::ClusterWaitOp>(k.getUnitAttr());
  }
}

LogicalResult conversion::emitMatmulWgmma(KernelBuilder &k, graph::MatmulOp op,
                                          fastgemm::PackedAttr packed) {
  fastgemm::ScheduleAttr schedule = op.getScheduleAttr();
  if (packed.getChannels() != kGroupChannels)
    return op.emitOpError()
           << "expects weights packed in panels of " << kGroupChannels
           << " channels on the path wgmma, got " << packed.getChannels();
  auto swizzled = dyn_cast_or_null<fastgemm::SwizzledAttr>(
      op.getX().getType().getEncoding());
  if (!swizzled || swizzled.getTokens() != schedule.getTokens())
    return op.emitOpError()
           << "expects activations swizzled in tiles of "
           << schedule.getTokens() << " tokens on the path wgmma";
  auto ahead = op->getAttrOfType<IntegerAttr>(graph::kPrefetchAttrName);
  int64_t prefetch = ahead ? ahead.getInt() : 0;
  if (prefetch < 0 ||
      (prefetch > 0 && (schedule.getCtas() > 0 || schedule.getStreamK() > 0)))
    return op.emitOpError()
           << "expects " << graph::kPrefetchAttrName
           << " to be positive, in a product whose schedule has no ctas and no "
              "stream_k";
  WgmmaShape shape(schedule,
                   {op.getN(), op.getK(), packed.getChannels(), /*offset=*/0,
                    op.getWeightFormat().bits},
                   op.getX().getDefiningOp(), prefetch,
                   static_cast<bool>(op.getMaxima()));
  if (shape.producer && (schedule.getCtas() > 0 || schedule.getStreamK() > 0 ||
                         shape.multicast > 1 || op.getK() % 8 != 0))
    return op.emitOpError()
           << "expects a schedule without ctas, stream_k and multicast, and K "
              "divisible by 8 in a kernel that quantizes its token";
  if (schedule.getSplitK() > shape.kTiles)
    return op.emitOpError()
           << "expects split_k to be at most the " << shape.kTiles
           << " stages of K, got " << schedule.getSplitK();
  WgmmaEmitter(k, op, shape).emit();
  int64_t walking = schedule.getCtas();
  if (schedule.getStreamK() > 0)
    walking = StreamParts::ctaCount(shape.channelTiles, shape.kTiles,
                                    schedule.getStreamK());
  if (walking > 0)
    k.finish({walking, 1, 1}, {0, 0, 0}, schedule.getThreads(),
             shape.sharedBytes, shape.multicast);
  else
    k.finish({shape.channelClusters * schedule.getClusterCtas(), 1, 1},
             {0, schedule.getTokens(), 0}, schedule.getThreads(),
             shape.sharedBytes, schedule.getClusterCtas());
  return success();
}
