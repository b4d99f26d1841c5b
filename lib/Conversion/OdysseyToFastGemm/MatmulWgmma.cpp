//===- MatmulWgmma.cpp - The W4A8 product for the wgmma path --------------===//
//
// Y^T = W X^T on Hopper. One thread, the producer, brings tiles of packed
// weights and of swizzled activations to a ring of stages in shared memory,
// with 1-D bulk copies that report to mbarriers. One or two consumer
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
// Behind the stages: the exchange of a cluster, then two mbarriers per stage,
// `full` and `empty`.
//
// With split_k, the CTAs of a cluster each sum over a part of K. Every thread
// gives each of its groups of four channels of a token to one of the CTAs, in
// turn, through distributed shared memory. That one adds what the same thread
// of all CTAs has sent, and stores: sums of integers, exact in any order.
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

#include "Kernels.h"
#include "ProductEpilogue.h"

#include "odyssey/Layout/PackedWeights.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

namespace {

/// Channels of a consumer warpgroup: two m64 tiles.
constexpr int64_t kGroupChannels = 128;
constexpr int64_t kTilesOfGroup = 2;
constexpr int64_t kTileK = fastgemm::SwizzledAttr::kTileK;
constexpr int64_t kHalves = kTileK / layout::kBlockK;
/// CTAs of neighbouring tokens that share weights through the L2 cache.
constexpr int64_t kTokenTilesTogether = 16;
/// Registers of a thread while a CTA of 2 consumer warpgroups and one producer
/// runs: 128 x 40 + 256 x 232 is what 384 threads have.
constexpr int32_t kProducerRegisters = 40, kConsumerRegisters = 232;

/// The numbers of one kernel, all known at compile time.
struct WgmmaShape {
  WgmmaShape(fastgemm::ScheduleAttr schedule, layout::PackedWeights packed,
             Operation *producer)
      : schedule(schedule), packed(packed), producer(producer),
        channels(schedule.getChannels()), tokens(schedule.getTokens()),
        stages(schedule.getStages()), splitK(schedule.getSplitK()) {
    groups = channels / kGroupChannels;
    panels = packed.paddedN() / kGroupChannels;
    channelTiles = (panels + groups - 1) / groups;
    kTiles = fastgemm::SwizzledAttr::getTilesAlongK(packed.k);
    endsInHalf = packed.paddedK() % kTileK != 0;
    activationBytes = tokens * kTileK;
    int64_t weightBytes = schedule.getStageBytes() - activationBytes;
    weightsInStage = producer ? 0 : activationBytes;
    stageBytes = weightsInStage + weightBytes;
    resident = stages * stageBytes;
    residentTiles = producer ? (kTiles + splitK - 1) / splitK : 0;
    exchange = resident + residentTiles * activationBytes;
    barriers = exchange + schedule.getExchangeBytes();
    scratch = barriers + 16 * stages;
    sharedBytes = scratch + (producer ? quantizedRowScratchBytes(producer) : 0);
    quads = tokens / ProductEpilogue::kChannels;
    share = (quads + splitK - 1) / splitK;
  }

  fastgemm::ScheduleAttr schedule;
  layout::PackedWeights packed;
  /// What quantizes the token in this kernel, or null.
  Operation *producer;
  int64_t channels, tokens, stages, splitK;
  /// Consumer warpgroups, and panels of packed weights in all.
  int64_t groups, panels;
  /// Tiles along N and K.
  int64_t channelTiles, kTiles;
  /// Whether the last stage has packed weights for its first half only.
  bool endsInHalf;
  int64_t activationBytes, stageBytes;
  /// Where a stage's weights begin.
  int64_t weightsInStage;
  /// Shared memory offsets, and all of it.
  int64_t resident, exchange, barriers, scratch, sharedBytes;
  /// Tiles of activations that a CTA keeps.
  int64_t residentTiles;
  /// A thread's groups of four channels of a token, and how many of them one
  /// CTA of a cluster finishes.
  int64_t quads, share;
};

/// Which stage of the ring comes next, and the parity of its round.
struct RingPosition {
  Val slot, parity;
};

/// A tile of outputs.
struct OutputTile {
  Val channels, tokens;
};

class WgmmaEmitter {
public:
  WgmmaEmitter(KernelBuilder &k, graph::MatmulOp op, const WgmmaShape &shape)
      : k(k), shape(shape), epilogue(k, op),
        activations(k.operand(op.getXMutable())),
        weights(k.operand(op.getWeightsMutable())) {}

  void emit();

private:
  using Accumulators = SmallVector<Val>;

  // Barriers and copies.
  Val fullBarrier(Val slot) {
    return k.offset(k.shared(shape.barriers), slot << 3);
  }
  Val emptyBarrier(Val slot) {
    return k.offset(k.shared(shape.barriers + 8 * shape.stages), slot << 3);
  }
  void initializeBarriers();
  void bulkCopy(Val destination, Val source, int64_t bytes, Val barrier,
                Val policy);

  // The ring and the tiles.
  RingPosition next(const RingPosition &position);
  Val tokenTileCount() {
    return (k.tokens() + (shape.tokens - 1)) / shape.tokens;
  }
  /// The tile of a CTA that has one only.
  OutputTile tileOfCta() {
    return {k.blockIndex(0) / shape.splitK, k.blockIndex(1)};
  }
  OutputTile tileOf(Val index);
  /// Runs `body` for every tile of this CTA; it returns where in the ring the
  /// next tile begins.
  void
  forEachTile(llvm::function_ref<RingPosition(OutputTile, RingPosition)> body);
  /// The K tiles of this CTA.
  std::pair<Val, Val> rangeOfK();

  void produce();
  void produceTile(const OutputTile &tile);
  /// Announces the bytes of a whole stage and starts the copies of its weights.
  void bringWeights(const OutputTile &tile, Val kTile, Val slot, Val policy);
  void bringActivations(const OutputTile &tile, Val kTile, Val slot);
  /// The stages of K tiles `first` to `last`, each as soon as its place in the
  /// ring is free; returns where the ring stands then.
  RingPosition bringStages(const OutputTile &tile, Val first, Val last,
                           const RingPosition &start, Val policy);

  void consume();
  SmallVector<Val> loadWeights(const RingPosition &position, int64_t half);
  Accumulators multiply(const SmallVector<Val> &fragments, Val activations,
                        int64_t half, const Accumulators &sums);
  Accumulators waitForProducts(const Accumulators &sums);
  Val descriptor(Val activations);
  void quantizeToken();
  void consumerBarrier();
  RingPosition sumTile(const RingPosition &start, Accumulators &sums);
  SmallVector<Val> quadOf(const Accumulators &sums, int64_t quad);
  /// Where this thread's quad `quad` belongs.
  Val channelOf(const OutputTile &tile);
  Val tokenOf(const OutputTile &tile, Val quad);
  void store(const OutputTile &tile, const Accumulators &sums);
  void exchangeAndStore(const OutputTile &tile, const Accumulators &sums);

  KernelBuilder &k;
  const WgmmaShape &shape;
  ProductEpilogue epilogue;
  Val activations, weights;
  Val warp, lane, rank;
  /// Of a consumer: its warpgroup, and this lane's weights in stage 0.
  Val group, laneWeights;
};

//===----------------------------------------------------------------------===//
// Barriers and copies
//===----------------------------------------------------------------------===//

void WgmmaEmitter::initializeBarriers() {
  k.ifThen(k.threadIndex() == 0, [&] {
    for (int64_t stage = 0; stage < shape.stages; ++stage) {
      Val slot = k.constant(stage);
      // The producer arrives at `full`, every consumer warp at `empty`.
      k.create<NVVM::MBarrierInitOp>(fullBarrier(slot).value,
                                     k.constant(1).value, Value());
      k.create<NVVM::MBarrierInitOp>(
          emptyBarrier(slot).value,
          k.constant(shape.schedule.getChannelWarps()).value, Value());
    }
    k.create<NVVM::FenceMbarrierInitOp>();
  });
  k.barrier();
  // Nobody may write to the exchange of a CTA that has not started. Consumers
  // wait for it when they come to that.
  if (shape.splitK > 1)
    k.create<NVVM::ClusterArriveOp>(k.getUnitAttr());
}

void WgmmaEmitter::bulkCopy(Val destination, Val source, int64_t bytes,
                            Val barrier, Val policy) {
  k.create<NVVM::CpAsyncBulkGlobalToSharedClusterOp>(
      destination.value, source.value, barrier.value, k.constant(bytes).value,
      Value(), policy.value);
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
  Val perBand = k.constant(kTokenTilesTogether * shape.channelTiles);
  Val band = index / perBand;
  Val first = band * kTokenTilesTogether;
  Val height = k.min(tokenTiles - first, k.constant(kTokenTilesTogether));
  Val inBand = index - band * perBand;
  return {inBand / height, first + inBand % height};
}

void WgmmaEmitter::forEachTile(
    llvm::function_ref<RingPosition(OutputTile, RingPosition)> body) {
  RingPosition start = {k.constant(0), k.constant(0)};
  if (shape.schedule.getCtas() == 0) {
    body(tileOfCta(), start);
    return;
  }
  Val tiles = tokenTileCount() * shape.channelTiles;
  Val ctas = k.val(k.create<NVVM::GridDimXOp>(k.i32()));
  k.loop(k.blockIndex(0), tiles, ctas, {start.slot, start.parity},
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

void WgmmaEmitter::bringActivations(const OutputTile &tile, Val kTile,
                                    Val slot) {
  Val source = k.row(activations, tile.tokens * shape.kTiles + kTile,
                     shape.activationBytes);
  bulkCopy(k.offset(k.shared(), slot * shape.stageBytes), source,
           shape.activationBytes, fullBarrier(slot), Val());
}

RingPosition WgmmaEmitter::bringStages(const OutputTile &tile, Val first,
                                       Val last, const RingPosition &start,
                                       Val policy) {
  SmallVector<Val> end = k.loop(
      first, last, k.constant(1), {start.slot, start.parity},
      [&](Val kTile, ArrayRef<Val> carried) -> SmallVector<Val> {
        RingPosition position = {carried[0], carried[1]};
        // In the first round nobody has to leave the stage: parity 1 has ended.
        k.create<fastgemm::BarrierWaitOp>(emptyBarrier(position.slot).value,
                                          (position.parity ^ 1).value);
        bringWeights(tile, kTile, position.slot, policy);
        if (!shape.producer)
          bringActivations(tile, kTile, position.slot);
        RingPosition following = next(position);
        return {following.slot, following.parity};
      });
  return {end[0], end[1]};
}

/// Weights are nobody's result, so that the first round of them is under way
/// while the kernel in front still runs.
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
  if (!shape.producer) {
    k.waitForPrevious();
    firstRound(
        [&](Val kTile, Val slot) { bringActivations(tile, kTile, slot); });
  }
  bringStages(tile, ahead, last, {k.constant(0), k.constant(1)}, policy);
}

void WgmmaEmitter::produce() {
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
// The consumers
//===----------------------------------------------------------------------===//

/// The A fragments of one half of a stage, [k32 step][m64 tile].
SmallVector<Val> WgmmaEmitter::loadWeights(const RingPosition &position,
                                           int64_t half) {
  VectorType registers = k.vec(4, k.i32());
  Val weights =
      k.offset(k.offset(laneWeights, position.slot * shape.stageBytes),
               half * shape.packed.stepBytes());
  SmallVector<Val> fragments(2 * kTilesOfGroup);
  for (int64_t i = 0; i < kTilesOfGroup; ++i) {
    Val packed = k.load(registers, k.offset(weights, i * layout::kBlockBytes));
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

/// Sums over this CTA's part of K, from zero; returns where the ring stands
/// then.
RingPosition WgmmaEmitter::sumTile(const RingPosition &start,
                                   Accumulators &sums) {
  auto [first, last] = rangeOfK();
  auto waitFor = [&](const RingPosition &position) {
    k.create<fastgemm::BarrierWaitOp>(fullBarrier(position.slot).value,
                                      position.parity.value);
  };
  waitFor(start);
  int64_t sumCount = kTilesOfGroup * shape.tokens / 8;
  SmallVector<Val> init = {start.slot, start.parity};
  init.append(sumCount, k.zeros(k.vec(4, k.i32())));
  init.append(loadWeights(start, 0));
  Val begin = first, end = last;
  auto activationsOf = [&](Val kTile, Val slot) {
    return shape.producer ? k.offset(k.shared(shape.resident),
                                     (kTile - begin) * shape.activationBytes)
                          : k.offset(k.shared(), slot * shape.stageBytes);
  };
  SmallVector<Val> result =
      k.loop(first, end, k.constant(1), init,
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
               Val more = kTile + 1 < end;
               RingPosition source = {
                   k.select(more, following.slot, position.slot),
                   k.select(more, following.parity, position.parity)};
               waitFor(source);
               SmallVector<Val> upcoming = loadWeights(source, 0);
               running = waitForProducts(running);
               k.ifThen(lane == 0, [&] {
                 k.create<NVVM::MBarrierArriveOp>(
                     k.i64(), emptyBarrier(position.slot).value, Value(),
                     NVVM::MemScopeKind::CTA, /*relaxed=*/false);
               });

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
  auto clusterPointer = LLVM::LLVMPointerType::get(
      k.getContext(),
      static_cast<unsigned>(NVVM::NVVMMemorySpace::SharedCluster));
  k.create<NVVM::ClusterWaitOp>(k.getUnitAttr());
  for (int64_t receiver = 0; receiver < shape.splitK; ++receiver) {
    Val box = k.val(k.create<NVVM::MapaOp>(clusterPointer, mine.value,
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
  epilogue.setTokenScale(emitQuantizedRow(
      k, shape.producer, threads, shape.scratch, [&] { consumerBarrier(); },
      addressOf, isOwn));
  // wgmma reads through the asynchronous proxy.
  k.create<NVVM::FenceProxyOp>(
      NVVM::ProxyKindAttr::get(k.getContext(), NVVM::ProxyKind::async_shared),
      NVVM::SharedSpaceAttr::get(k.getContext(),
                                 NVVM::SharedSpace::shared_cta));
  consumerBarrier();
}

void WgmmaEmitter::consume() {
  group = warp >> 2;
  laneWeights = k.offset(
      k.shared(shape.weightsInStage),
      group * (kHalves * shape.packed.stepBytes()) +
          (warp & 3) * (kTilesOfGroup * layout::kBlockBytes) + (lane << 4));
  bool persistent = shape.schedule.getCtas() > 0;
  if (persistent)
    k.waitForPrevious();
  if (shape.producer)
    quantizeToken();
  forEachTile([&](OutputTile tile, RingPosition start) {
    Accumulators sums;
    RingPosition end = sumTile(start, sums);
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

void WgmmaEmitter::emit() {
  warp = k.warpIndex();
  lane = k.threadIndex() & 31;
  if (shape.splitK > 1)
    rank = k.val(k.create<NVVM::ClusterId>(k.i32()));
  initializeBarriers();
  int64_t consumers = shape.schedule.getChannelWarps();
  bool moveRegisters = shape.schedule.movesRegisters();
  k.ifThenElse(
      warp < consumers,
      [&] {
        if (moveRegisters)
          k.create<NVVM::SetMaxRegisterOp>(
              kConsumerRegisters, NVVM::SetMaxRegisterAction::increase);
        consume();
      },
      [&] {
        if (moveRegisters)
          k.create<NVVM::SetMaxRegisterOp>(
              kProducerRegisters, NVVM::SetMaxRegisterAction::decrease);
        k.ifThen(k.land(warp == consumers, lane == 0), [&] { produce(); });
      });
}

} // namespace

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
  WgmmaShape shape(schedule, {op.getN(), op.getK(), packed.getChannels()},
                   op.getX().getDefiningOp());
  if (shape.producer && (schedule.getCtas() > 0 || op.getK() % 8 != 0))
    return op.emitOpError()
           << "expects a schedule without ctas and K divisible "
              "by 8 in a kernel that quantizes its token";
  if (schedule.getSplitK() > shape.kTiles)
    return op.emitOpError()
           << "expects split_k to be at most the " << shape.kTiles
           << " stages of K, got " << schedule.getSplitK();
  WgmmaEmitter(k, op, shape).emit();
  if (schedule.getCtas() > 0)
    k.finish({schedule.getCtas(), 1, 1}, {0, 0, 0}, schedule.getThreads(),
             shape.sharedBytes);
  else
    k.finish({shape.channelTiles * shape.splitK, 1, 1},
             {0, schedule.getTokens(), 0}, schedule.getThreads(),
             shape.sharedBytes, shape.splitK);
  return success();
}
