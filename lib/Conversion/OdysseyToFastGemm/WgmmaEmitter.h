//===- WgmmaEmitter.h - Writes a product of the path wgmma ------*- C++ -*-===//
//
// What MatmulWgmma.cpp, which says how such a kernel works, WgmmaConsumer.cpp
// and WgmmaStreamK.cpp share.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_WGMMAEMITTER_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_WGMMAEMITTER_H

#include "Kernels.h"
#include "PartialSums.h"
#include "ProductEpilogue.h"

#include "odyssey/Layout/PackedWeights.h"

namespace odyssey::conversion::wgmma {

/// Channels of a consumer warpgroup: two m64 tiles.
inline constexpr int64_t kGroupChannels = 128;
inline constexpr int64_t kTilesOfGroup = 2;
inline constexpr int64_t kTileK = fastgemm::SwizzledAttr::kTileK;
inline constexpr int64_t kHalves = kTileK / layout::kBlockK;

/// The numbers of one kernel, all known at compile time.
struct WgmmaShape {
  WgmmaShape(fastgemm::ScheduleAttr schedule, layout::PackedWeights packed,
             mlir::Operation *producer, int64_t prefetch, bool givesMaxima)
      : schedule(schedule), packed(packed), producer(producer),
        prefetch(prefetch), givesMaxima(givesMaxima),
        channels(schedule.getChannels()), tokens(schedule.getTokens()),
        stages(schedule.getStages()), splitK(schedule.getSplitK()),
        multicast(schedule.getMulticast()) {
    groups = channels / kGroupChannels;
    panels = packed.paddedN() / kGroupChannels;
    channelTiles = (panels + groups - 1) / groups;
    channelClusters = (channelTiles + multicast - 1) / multicast;
    kTiles = fastgemm::SwizzledAttr::getTilesAlongK(packed.k);
    endsInHalf = packed.paddedK() % kTileK != 0;
    activationBytes = tokens * kTileK;
    int64_t weightBytes = schedule.getWeightBytes({.bits = packed.bits});
    weightsInStage = producer ? 0 : activationBytes;
    stageBytes = weightsInStage + weightBytes;
    resident = stages * stageBytes;
    residentTiles = producer ? (kTiles + splitK - 1) / splitK : 0;
    exchange = resident + residentTiles * activationBytes;
    barriers = exchange + schedule.getExchangeBytes();
    mailbox = barriers + 16 * stages;
    scratch = mailbox + schedule.getMailboxBytes();
    sharedBytes = scratch + (producer ? quantizedRowScratchBytes(producer) : 0);
    quads = tokens / ProductEpilogue::kChannels;
    share = (quads + splitK - 1) / splitK;
  }

  fastgemm::ScheduleAttr schedule;
  layout::PackedWeights packed;
  /// What quantizes the token in this kernel, or null.
  mlir::Operation *producer;
  /// K tiles of weights that a CTA asks the L2 cache for at its beginning.
  int64_t prefetch;
  /// Whether the greatest magnitudes of tokens are a second result.
  bool givesMaxima;
  int64_t channels, tokens, stages, splitK, multicast;
  /// Consumer warpgroups, and panels of packed weights in all.
  int64_t groups, panels;
  /// Tiles along N and K, and clusters that share activations along N.
  int64_t channelTiles, kTiles, channelClusters;
  /// Whether the last stage has packed weights for its first half only.
  bool endsInHalf;
  int64_t activationBytes, stageBytes;
  /// Where a stage's weights begin.
  int64_t weightsInStage;
  /// Shared memory offsets, and all of it.
  int64_t resident, exchange, barriers, mailbox, scratch, sharedBytes;
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

/// K tiles `first` to `last`, at least one, of the tile of that index.
struct StreamSegment {
  Val index, first, last;
};

class WgmmaEmitter {
public:
  WgmmaEmitter(KernelBuilder &k, graph::MatmulOp op, const WgmmaShape &shape)
      : k(k), shape(shape), epilogue(k, op),
        activations(k.operand(op.getXMutable())),
        weights(k.operand(op.getWeightsMutable())) {}

  void emit();

private:
  using Accumulators = llvm::SmallVector<Val>;

  // Barriers and copies.
  Val fullBarrier(Val slot) {
    return k.offset(k.shared(shape.barriers), slot << 3);
  }
  Val emptyBarrier(Val slot) {
    return k.offset(k.shared(shape.barriers + 8 * shape.stages), slot << 3);
  }
  void initializeBarriers();
  /// The type of an address in any CTA of the cluster.
  mlir::Type clusterPointer() {
    return mlir::LLVM::LLVMPointerType::get(
        k.getContext(),
        static_cast<unsigned>(mlir::NVVM::NVVMMemorySpace::SharedCluster));
  }
  void bulkCopy(Val destination, Val source, int64_t bytes, Val barrier,
                Val policy, Val receivers = Val());
  /// A consumer warp is done with a stage.
  void leaveStage(Val slot);

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
  /// Asks the L2 cache for the weights of `prefetch` K tiles from `first` on,
  /// as far as they are in front of `last`.
  void prefetchWeights(const OutputTile &tile, Val first, Val last);
  void bringActivations(const OutputTile &tile, Val kTile, Val slot);
  /// The stages of K tiles `first` to `last`, each as soon as its place in the
  /// ring is free; returns where the ring stands then.
  RingPosition bringStages(const OutputTile &tile, Val first, Val last,
                           const RingPosition &start, Val policy);

  void consume();
  llvm::SmallVector<Val> loadWeights(const RingPosition &position,
                                     int64_t half);
  Accumulators multiply(const llvm::SmallVector<Val> &fragments,
                        Val activations, int64_t half,
                        const Accumulators &sums);
  Accumulators waitForProducts(const Accumulators &sums);
  Val descriptor(Val activations);
  void quantizeToken();
  void consumerBarrier();
  /// Sums over K tiles `first` to `last`, at least one, from zero; returns
  /// where the ring stands then.
  RingPosition sumTile(Val first, Val last, const RingPosition &start,
                       Accumulators &sums);
  llvm::SmallVector<Val> quadOf(const Accumulators &sums, int64_t quad);
  /// Where this thread's quad `quad` belongs.
  Val channelOf(const OutputTile &tile);
  Val tokenOf(const OutputTile &tile, Val quad);
  void store(const OutputTile &tile, const Accumulators &sums);
  void exchangeAndStore(const OutputTile &tile, const Accumulators &sums);

  // Stream-K.
  bool isStream() const { return shape.schedule.getStreamK() > 0; }
  StreamParts streamParts();
  /// Runs `body` for what stages `from` to `to` of the row of all tiles are in
  /// each tile; it returns where in the ring the next segment begins.
  RingPosition forEachSegment(
      Val from, Val to, const RingPosition &start,
      llvm::function_ref<RingPosition(StreamSegment, RingPosition)> body);
  void produceStream();
  void consumeStream();

  KernelBuilder &k;
  const WgmmaShape &shape;
  ProductEpilogue epilogue;
  Val activations, weights;
  Val warp, lane, rank;
  /// Of a consumer: its warpgroup, and this lane's weights in stage 0.
  Val group, laneWeights;
};

} // namespace odyssey::conversion::wgmma

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_WGMMAEMITTER_H
